"""Lesson 9, real-valued images: the machine as it should be after the exercise."""

import rbm as lesson

import pytensor.tensor as pt


class RBM(lesson.RBM):
    """A restricted Boltzmann machine whose visible units are normally distributed, with variance 1."""

    def free_energy(self, v_sample):
        pre_sigmoid_h, _ = self.propup(v_sample)
        return pt.sum((v_sample - self.vbias) ** 2, axis=1) / 2 - pt.sum(pt.softplus(pre_sigmoid_h), axis=1)

    def sample_v_given_h(self, h0_sample, rng):
        mean, _ = self.propdown(h0_sample)
        next_rng, noise = rng.normal(size=mean.shape, dtype=mean.dtype)
        return [mean, mean, mean + noise, next_rng]
