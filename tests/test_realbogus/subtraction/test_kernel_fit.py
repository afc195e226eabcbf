"""The kernel fit: its basis, choices and clipping in exact numbers, and known kernels that come back."""

import numpy as np
import pytest

from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.model import constant_psf
from realbogus.subtraction.fit_inputs import FitImage
from realbogus.subtraction.kernel_fit import (
    FitOptions,
    KernelFitError,
    choose_held_out,
    choose_order,
    choose_widths,
    clip_stars,
    fit_kernel,
    make_basis,
)
from tests.star_field import gaussian_stamp

SHAPE = (200, 260)
SIGMA, ADDED = 1.5, 1.8
FWHM = 2.355 * SIGMA, 2.355 * float(np.hypot(SIGMA, ADDED))
OPTIONS = FitOptions(2, (0.7, 1.0, 2.0), (2, 0, 0), 4.0)


def test_widths_are_in_units_of_the_gaussian_between_the_psfs():
    unit = np.sqrt(5.0**2 - 3.0**2) / 2.355
    assert choose_widths(3.0, 5.0, (0.5, 1.0, 2.0)) == pytest.approx((0.5 * unit, unit, 2 * unit))
    assert choose_widths(4.0, 4.1, (1.0,)) == pytest.approx((2.0 / 2.355,)), "at least half of the sharper PSF"
    assert choose_widths(5.0, 4.0, (1.0,)) == pytest.approx((2.5 / 2.355,)), "the broader may be the sharper"
    assert choose_widths(1.0, 1.0, (0.5, 2.0)) == pytest.approx((0.7, 1.4)), "no Gaussian is narrower than 0.7 px"


@pytest.mark.parametrize(
    ("count", "highest", "order"),
    [(14, 3, 0), (15, 3, 1), (39, 3, 1), (40, 3, 2), (99, 3, 2), (100, 3, 3), (100, 1, 1), (100, 0, 0)],
)
def test_the_order_is_what_the_stars_support(count, highest, order):
    assert choose_order(count, highest) == order


def test_every_fifth_star_of_ten_and_more_is_held_out():
    assert np.flatnonzero(choose_held_out(10)).tolist() == [4, 9]
    assert np.flatnonzero(choose_held_out(14)).tolist() == [4, 9]
    assert not choose_held_out(9).any()
    assert len(choose_held_out(9)) == 9


def test_stars_far_above_the_median_are_clipped():
    misfit = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 8.9, 99.0])
    held_out = np.array([0, 0, 0, 0, 0, 0, 0, 1], bool)  # median 4, median deviation 2: the limit is 4 + 1.4826 * 2 s
    limit = (8.95 - 4) / (1.4826 * 2)
    assert clip_stars(misfit, held_out, limit).tolist() == [True] * 5 + [False, True, False]
    exact = clip_stars(np.array([1.0, 1.0, 1.0, 1.2, 1.4]), np.zeros(5, bool), 2.0)
    assert exact.tolist() == [True, True, True, False, False], "at least a tenth of the median counts as scatter"


@pytest.mark.parametrize(("sigmas", "degrees", "count"), [((1.0,), (0,), 1), ((1.0, 2.0), (2, 1), 9)])
def test_the_basis_is_gaussians_times_polynomials_and_the_first_alone_has_flux(sigmas, degrees, count):
    basis = make_basis(sigmas, degrees)
    assert basis.radius_px == 3 * max(sigmas)
    images = basis.images()
    assert images.shape == (count, 2 * basis.radius_px + 1, 2 * basis.radius_px + 1)
    np.testing.assert_allclose(images.sum(axis=(1, 2)), [1] + [0] * (count - 1), atol=1e-12)
    steps = np.arange(-basis.radius_px, basis.radius_px + 1)
    gaussian = np.exp(-(steps**2) / 2)
    np.testing.assert_allclose(images[0], np.outer(gaussian, gaussian) / gaussian.sum() ** 2, rtol=1e-12)
    if count > 1:  # the second goes with the first power of y, the third with that of x
        ramp = steps * gaussian / np.abs(steps * gaussian).sum()
        np.testing.assert_allclose(images[1], np.outer(ramp, gaussian / gaussian.sum()), atol=1e-12)
        np.testing.assert_allclose(images[2], np.outer(gaussian / gaussian.sum(), ramp), atol=1e-12)


def star_grid(step=26, margin=34):
    x, y = np.meshgrid(np.arange(margin, SHAPE[1] - margin, step), np.arange(margin, SHAPE[0] - margin, step))
    rng = np.random.default_rng(0)
    return x.ravel() + rng.uniform(-0.4, 0.4, x.size), y.ravel() + rng.uniform(-0.4, 0.4, x.size)


def image_of(signal, fwhm, unusable=None, variance=4.0):
    unusable = np.zeros(SHAPE, bool) if unusable is None else unusable
    return FitImage(signal.astype(np.float32), np.full(SHAPE, variance, np.float32), unusable, fwhm)


def make_images(ratio=2.0, level=3.0, gradient=0.0):
    """A sharp image of stars and the same convolved with a Gaussian, scaled, over a level."""
    x, y = star_grid()
    sharp = constant_psf(gaussian_stamp(25, SIGMA), SHAPE).draw(x, y, np.full(len(x), 5e3), SHAPE)
    kernel = np.stack([ratio, gradient, 0 * ratio])[:, None, None] * gaussian_stamp(13, ADDED)
    broad = VaryingKernel(kernel, 1, SHAPE).convolve(sharp) + level
    return x, y, sharp, broad


def test_a_known_kernel_and_level_come_back():
    x, y, sharp, broad = make_images()
    fit = fit_kernel(image_of(sharp, FWHM[0]), image_of(broad, FWHM[1]), x, y, OPTIONS)
    assert (fit.stars, fit.clipped, fit.held_out) == (len(x) - len(x) // 5, 0, len(x) // 5)
    assert fit.kernel.order == 2
    np.testing.assert_allclose(fit.kernel.sums(), 2, rtol=2e-3)
    assert fit.background == pytest.approx([3, 0, 0, 0, 0, 0], abs=0.05)
    radius = fit.kernel.radius_px
    middle = fit.kernel.at(np.array([130]), np.array([100]))[0][radius - 6 : radius + 7, radius - 6 : radius + 7]
    np.testing.assert_allclose(middle, 2 * gaussian_stamp(13, ADDED), atol=2e-3)
    assert fit.heldout_chi2 < 0.05


def test_a_flux_ratio_that_varies_along_x_comes_back():
    x, y, sharp, broad = make_images(gradient=0.4)
    fit = fit_kernel(image_of(sharp, FWHM[0]), image_of(broad, FWHM[1]), x, y, OPTIONS)
    assert fit.kernel.sums()[100, 0] == pytest.approx(1.6, rel=0.02)
    assert fit.kernel.sums()[100, 259] == pytest.approx(2.4, rel=0.02)
    assert fit.kernel.sums()[5, 130] == pytest.approx(2, rel=0.02)


def test_the_highest_order_that_is_asked_for_is_kept():
    x, y, sharp, broad = make_images()
    options = FitOptions(0, *list(vars(OPTIONS).values())[1:])
    assert fit_kernel(image_of(sharp, FWHM[0]), image_of(broad, FWHM[1]), x, y, options).kernel.order == 0


def test_noise_gives_a_chi_squared_of_one():
    x, y, sharp, broad = make_images()
    rng = np.random.default_rng(1)
    broad = broad + 6 * rng.standard_normal(SHAPE)
    sharp_noise = image_of(sharp + 1.0 * rng.standard_normal(SHAPE), FWHM[0], variance=1.0)
    fit = fit_kernel(sharp_noise, image_of(broad, FWHM[1], variance=36.0), x, y, OPTIONS)
    assert fit.heldout_chi2 == pytest.approx(1, abs=0.15)


def test_a_star_that_changed_is_clipped_and_leaves_the_kernel_alone():
    x, y, sharp, broad = make_images()
    extra = constant_psf(gaussian_stamp(25, float(np.hypot(SIGMA, ADDED))), SHAPE).draw(x[7:8], y[7:8], [4e3], SHAPE)
    noise = 2 * np.random.default_rng(2).standard_normal((2, *SHAPE))
    images = image_of(sharp + noise[0], FWHM[0]), image_of(broad + extra + noise[1], FWHM[1])
    fit = fit_kernel(*images, x, y, OPTIONS)
    assert fit.clipped >= 1
    assert fit.stars == len(x) - len(x) // 5 - fit.clipped
    np.testing.assert_allclose(fit.kernel.sums()[30:-30, 30:-30], 2, rtol=0.02)


@pytest.mark.parametrize("which", [0, 1])
def test_stars_near_the_edge_or_an_unusable_pixel_are_left_out(which):
    x, y, sharp, broad = make_images()
    radius = int(np.ceil(2.5 * FWHM[1]))
    basis = make_basis(choose_widths(*FWHM, OPTIONS.width_ratios), OPTIONS.degrees)
    margin = radius + basis.radius_px + 1
    edges = np.array([margin, SHAPE[1] - 1 - margin, margin + 0.01, SHAPE[1] - 1.01 - margin])
    inside = np.full(4, 100.0)
    fit = fit_kernel(
        image_of(sharp, FWHM[0]), image_of(broad, FWHM[1]), np.append(x, edges), np.append(y, inside), OPTIONS
    )
    assert fit.stars + fit.clipped + fit.held_out == len(x) + 2
    edges = np.array([margin, SHAPE[0] - 1 - margin, margin + 0.01, SHAPE[0] - 1.01 - margin])
    fit = fit_kernel(
        image_of(sharp, FWHM[0]), image_of(broad, FWHM[1]), np.append(x, inside), np.append(y, edges), OPTIONS
    )
    assert fit.stars + fit.clipped + fit.held_out == len(x) + 2
    unusable = np.zeros(SHAPE, bool)
    column, row = int(np.floor(x[0] + 0.5)), int(np.floor(y[0] + 0.5))
    unusable[row - radius, column - radius] = True  # the corner of the first star's stamp
    unusable[row - radius - 1, column] = True  # a pixel outside of it
    masks = [None, None]
    masks[which] = unusable
    fit = fit_kernel(image_of(sharp, FWHM[0], masks[0]), image_of(broad, FWHM[1], masks[1]), x, y, OPTIONS)
    assert fit.stars + fit.clipped + fit.held_out == len(x) - 1


def test_six_stars_are_enough_and_five_are_not():
    x, y, sharp, broad = make_images()
    images = image_of(sharp, FWHM[0]), image_of(broad, FWHM[1])
    options = FitOptions(2, (1.0,), (2,), 4.0)
    fit = fit_kernel(*images, x[:6], y[:6], options)
    assert (fit.stars, fit.held_out, fit.kernel.order) == (6, 0, 0)
    assert np.isnan(fit.heldout_chi2)
    with pytest.raises(KernelFitError, match="5 unmasked stars to fit a kernel, 6 are needed"):
        fit_kernel(*images, x[:5], y[:5], options)


def test_the_noise_of_the_sharper_image_alone_gives_weights():
    x, y, sharp, broad = make_images()
    fit = fit_kernel(image_of(sharp, FWHM[0]), image_of(broad, FWHM[1], variance=0.0), x, y, OPTIONS)
    np.testing.assert_allclose(fit.kernel.sums()[30:-30, 30:-30], 2, rtol=2e-3)


def test_pixels_of_large_variance_hardly_count():
    x, y, sharp, broad = make_images()
    image = image_of(broad, FWHM[1])
    rows, columns = np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)
    image.signal[rows + 2, columns - 1] = 1e4
    image.variance[rows + 2, columns - 1] = 1e14
    fit = fit_kernel(image_of(sharp, FWHM[0]), image, x, y, OPTIONS)
    np.testing.assert_allclose(fit.kernel.sums()[30:-30, 30:-30], 2, rtol=5e-3)


def test_a_bright_star_may_deviate_by_the_models_error():
    """Half a per cent of a star of a hundred times the light is within the model's error, a tenth is not."""
    x, y, sharp, broad = make_images()
    star = constant_psf(gaussian_stamp(25, SIGMA), SHAPE).draw(x[20:21], y[20:21], [5e5], SHAPE)
    kernel = VaryingKernel(2 * gaussian_stamp(13, ADDED)[None], 0, SHAPE)
    noise = 2 * np.random.default_rng(3).standard_normal((2, *SHAPE))
    clipped = {}
    for deviation in (0.005, 0.1):
        risen = broad + (1 + deviation) * kernel.convolve(star) + noise[0]
        images = image_of(sharp + star + 0.1 * noise[1], FWHM[0], variance=0.04), image_of(risen, FWHM[1])
        clipped[deviation] = fit_kernel(*images, x, y, OPTIONS).clipped
    assert clipped[0.1] > clipped[0.005]


def test_stars_held_out_do_not_enter_the_fit():
    """The fifth star of the list is held out: whatever it does, the kernel stays."""
    x, y, sharp, broad = make_images()
    extra = constant_psf(gaussian_stamp(25, SIGMA), SHAPE).draw(x[4:5], y[4:5], [3e3], SHAPE)
    stars = np.hypot(x - x[4], y - y[4]) > 40  # its neighbours would see its light
    stars[4] = True
    order = np.argsort(~np.isin(np.arange(len(x)), [0, 6, 13, 20, 4]), kind="stable")
    order = order[stars[order]]
    place = int(np.flatnonzero(order == 4)[0])
    order[[4, place]] = order[[place, 4]]
    images = [image_of(sharp, FWHM[0]), image_of(broad, FWHM[1]), image_of(broad + extra, FWHM[1])]
    plain = fit_kernel(images[0], images[1], x[order], y[order], OPTIONS)
    risen = fit_kernel(images[0], images[2], x[order], y[order], OPTIONS)
    np.testing.assert_allclose(risen.kernel.coefficients, plain.kernel.coefficients, atol=1e-12)
    assert risen.clipped == plain.clipped == 0


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the arithmetic of such values
def test_stars_without_light_determine_no_kernel(value):
    x, y, sharp, broad = make_images()
    blind = image_of(np.full_like(sharp, value), FWHM[0])
    with pytest.raises(KernelFitError, match="do not determine a kernel"):
        fit_kernel(blind, image_of(broad, FWHM[1]), x, y, OPTIONS)
