"""The PSF of a convolved frame, and the kernel of a difference."""

import numpy as np
import pytest

from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.model import constant_psf
from realbogus.subtraction.difference import ConvolvedPsf, SubtractionError
from tests.star_field import gaussian_stamp, make_difference

SHAPE = (50, 60)
PSF = constant_psf(gaussian_stamp(15, 1.5), SHAPE)


def test_a_convolved_psf_is_the_psf_convolved_and_of_unit_flux():
    image = np.zeros((3, 3))
    image[1, 1], image[1, 2], image[0, 1] = 2, 1, 1  # beside: one pixel to the right, one below
    convolved = ConvolvedPsf(PSF, VaryingKernel(image[None], 0, SHAPE))
    assert convolved.size == 15
    stamps = convolved.at(np.array([20.3, 31.0]), np.array([24.0, 22.6]))
    assert stamps.shape == (2, 15, 15)
    assert stamps.dtype == np.float32
    plain = np.pad(PSF.at([20.3, 31.0], [24.0, 22.6]), ((0, 0), (1, 1), (1, 1)))
    expected = (2 * plain + np.roll(plain, 1, axis=2) + np.roll(plain, -1, axis=1)) / 4
    np.testing.assert_allclose(stamps, expected[:, 1:-1, 1:-1], atol=1e-6)


def test_the_kernel_is_that_of_the_position():
    coefficients = np.zeros((3, 3, 3))
    coefficients[0, 1, 1], coefficients[1, 1, 2] = 1, 0.5
    kernel = VaryingKernel(coefficients, 1, SHAPE)
    difference = make_difference(np.zeros(SHAPE), PSF, kernel=kernel)
    left, right = difference.kernel_at(0, 10), difference.kernel_at(59, 10)
    assert (left[1, 1], left[1, 2], right[1, 2]) == (1, -0.5, 0.5)
    assert difference.kernel_at(29.5, 49)[1, 2] == 0
    with pytest.raises(SubtractionError, match="alard-lupton has one"):
        make_difference(np.zeros(SHAPE), PSF).kernel_at(5, 5)
