"""Drawing of a point-spread function between the pixels, adding and cutting of stamps, and its width."""

import numpy as np
import pytest

from realbogus.psf.model import (
    PsfError,
    add_stamps,
    constant_psf,
    cut_stamps,
    find_pixels,
    make_disc,
    shift_phases,
    to_stamps,
)
from tests.star_field import gaussian_stamp

SHAPE = (40, 50)
PSF = constant_psf(gaussian_stamp(21, 1.7), SHAPE)


def gaussian_at(x, y, sigma=1.7, size=21):
    """A round Gaussian of sum 1 sampled at pixel centres, shifted by (x, y) from the middle pixel."""
    steps = np.arange(size) - size // 2
    image = np.exp(-((steps - x) ** 2) / (2 * sigma**2) - (steps[:, None] - y) ** 2 / (2 * sigma**2))
    return image / (2 * np.pi * sigma**2)


@pytest.mark.parametrize(("position", "pixel"), [(2.49, 2), (2.5, 3), (-0.5, 0), (-0.51, -1), (7.0, 7)])
def test_halves_belong_to_the_next_pixel(position, pixel):
    assert find_pixels([position]).tolist() == [pixel]


@pytest.mark.parametrize(("x", "y"), [(20.0, 15.0), (20.4, 15.0), (20.0, 14.55), (19.7, 15.3)])
def test_a_gaussian_is_drawn_exactly_between_the_pixels(x, y):
    (stamp,) = PSF.at(x, y)
    np.testing.assert_allclose(stamp, gaussian_at(x - np.floor(x + 0.5), y - np.floor(y + 0.5)), atol=1e-5)
    assert stamp.dtype == np.float32


def test_many_are_drawn_as_one_by_one():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 50, 300), rng.uniform(0, 40, 300)
    stamps = PSF.at(x, y)
    assert stamps.shape == (300, 21, 21)
    for row in (0, 255, 256, 299):
        np.testing.assert_allclose(stamps[row], PSF.at(x[row], y[row])[0], atol=1e-7)


def test_an_image_holds_each_source_where_it_is_and_loses_what_is_beyond():
    image = PSF.draw([10.2, 49.4, -30.0], [20.0, 39.0, 5.0], [100.0, 50.0, 1e6], SHAPE)
    expected = np.zeros((80, 90))
    expected[20 + 10 : 20 + 31, 20 + 0 : 20 + 21] += 100 * gaussian_at(0.2, 0.0)
    expected[20 + 29 : 20 + 50, 20 + 39 : 20 + 60] += 50 * gaussian_at(0.4, 0.0)
    np.testing.assert_allclose(image, expected[20:60, 20:70], atol=2e-3)


def test_the_jackknife_realisation_is_drawn_instead():
    other = constant_psf(gaussian_stamp(21, 2.5), SHAPE)
    both = type(PSF)(**{**vars(PSF), "jackknife": np.stack([PSF.spectra, other.spectra])})
    np.testing.assert_allclose(both.at(20.3, 15.0, 1), other.at(20.3, 15.0), atol=1e-6)
    np.testing.assert_allclose(
        both.draw([20.3], [15.0], [3.0], SHAPE, 1), other.draw([20.3], [15.0], [3.0], SHAPE), atol=1e-6
    )
    np.testing.assert_allclose(both.at(20.3, 15.0, 0), PSF.at(20.3, 15.0), atol=1e-6)


def test_an_image_is_the_sum_of_its_stamps():
    stamps = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    image = add_stamps(stamps, np.array([0.0, 1.0]), np.array([0.0, 0.0]), (3, 4))
    assert image.tolist() == [[4 + 12, 5 + 13, 14, 0], [7 + 15, 8 + 16, 17, 0], [0, 0, 0, 0]]
    assert add_stamps(stamps[:1], np.array([4.0]), np.array([-1.0]), (3, 4)).tolist()[0] == [0, 0, 0, 6]


def test_stamps_are_cut_around_the_pixel_that_holds_the_place():
    image = np.arange(35).reshape(5, 7)
    assert cut_stamps(image, np.array([2.4]), np.array([2.5]), 3).tolist() == [
        [[15, 16, 17], [22, 23, 24], [29, 30, 31]]
    ]


def test_a_disc_holds_its_rim():
    assert make_disc(5, 2).sum() == 13
    assert make_disc(5, 1.99).sum() == 9
    assert make_disc(3, 0).tolist() == [[False] * 3, [False, True, False], [False] * 3]


def test_phases_move_a_source_by_the_part_of_a_pixel():
    _, _, base_y, base_x = shift_phases(np.array([7.25]), np.array([3.6]), 9)
    spectrum = np.fft.rfft2(np.fft.ifftshift(gaussian_at(0, 0, 1.2, 9)))
    moved = to_stamps((spectrum * base_y[:, :, None] * base_x[:, None, :]).astype(complex))
    np.testing.assert_allclose(moved[0], gaussian_at(0.25, -0.4, 1.2, 9), atol=2e-3)


def test_aliases_turn_once_a_pixel_and_against_the_sign_of_their_frequency():
    along_y, along_x, _, _ = shift_phases(np.array([7.25]), np.array([3.75]), 5)
    assert along_x == pytest.approx([1j], abs=1e-12)
    assert along_y[0] == pytest.approx([-1j, -1j, -1j, 1j, 1j], abs=1e-12)


@pytest.mark.parametrize("sigma", [1.3, 2.0, 2.6])
def test_the_width_of_a_gaussian_is_its_fwhm(sigma):
    assert constant_psf(gaussian_stamp(21, sigma), SHAPE).fwhm_px == pytest.approx(2.3548 * sigma, rel=0.02)


def test_a_stamp_is_brought_to_a_sum_of_one():
    psf = constant_psf(5 * gaussian_stamp(21, 1.7), SHAPE)
    assert (psf.size, psf.order, psf.stars, psf.radius_px, psf.shape) == (21, 0, 0, 10.5, SHAPE)
    assert psf.at(20.0, 15.0).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        (np.ones((5, 7)), r"is \(5, 7\), expected a square of odd width"),
        (np.ones((4, 4)), r"is \(4, 4\)"),
        (np.ones(5), r"is \(5,\)"),
        (np.zeros((3, 3)), "sums to 0.0, expected a positive sum"),
        (np.full((3, 3), np.nan), "sums to nan"),
        (-np.ones((3, 3)), "sums to -9.0"),
    ],
)
def test_what_is_no_psf_is_refused(stamp, message):
    with pytest.raises(PsfError, match=message):
        constant_psf(stamp, SHAPE)
