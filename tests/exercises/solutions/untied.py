"""Lesson 4, untied weights: the autoencoder as it should be after the exercise."""

import dA as lesson
from logistic_sgd import parameter


class dA(lesson.dA):
    """A denoising autoencoder whose decoder has weights of its own, `W_prime`, that start as W transposed."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.W_prime = parameter(self.W.get_value().T, "W_prime")
        self.params = [self.W, self.b, self.b_prime, self.W_prime]
