"""Lesson 2, a penalty on activity: the network as it should be after the exercise."""

import mlp as lesson

import pytensor.tensor as pt


class MLP(lesson.MLP):
    """A multilayer perceptron with `activity`: the sum of |h| over the hidden units, mean over the minibatch."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.activity = pt.mean(pt.sum(abs(self.hiddenLayer.output), axis=1))
