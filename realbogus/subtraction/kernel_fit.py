"""Fit the kernel that matches the sharper image of a pair to the broader, on stars, in the basis of Alard & Lupton.

Alard & Lupton 1998, ApJ 503, 325; Alard 2000, A&AS 144, 363 for the variation over the chip: Gaussians times
polynomials, whose coefficients and a background are polynomials of the position. This is one linear fit; its normal
equations are a sum over stars of small blocks.
"""

from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std
from scipy import fft

from realbogus.psf.kernels import VaryingKernel, polynomial_powers, polynomial_terms
from realbogus.psf.model import cut_stamps
from realbogus.subtraction.fit_inputs import FitImage

LEAST_STARS = 6
_STARS_FOR_ORDER = {1: 15, 2: 40, 3: 100}
_STAMP_FWHM = 2.5
_KERNEL_SIGMA = 3.0  # radius of the kernel, in standard deviations of its broadest Gaussian
_LEAST_SIGMA_PX = 0.7  # a narrower Gaussian is not resolved by the pixels
_MODEL_ERROR = 0.01  # of a star's light, in the weights, so that a few bright stars do not decide the fit
_HELD_OUT = 5  # every fifth star is held out to evaluate the fit
_CLIP_ROUNDS = 3
_RIDGE = 1e-10


class KernelFitError(ValueError):
    """No kernel can be fitted to a pair."""


@dataclass(frozen=True)
class Basis:
    """Kernels of a linear combination: the first has sum 1, the others 0, so that the first alone sets the flux scale.

    Attributes
    ----------
    filters : ndarray of shape (filters, k)
        Profiles along one axis.
    pairs : ndarray of int, shape (kernels, 2)
        Rows of `filters` along y and along x.
    sums : ndarray of shape (kernels,)
        Sum of each product of filters; this multiple of the first kernel is subtracted from it.
    """

    filters: np.ndarray
    pairs: np.ndarray
    sums: np.ndarray

    @property
    def radius_px(self) -> int:
        """Half width, pixels, without the centre."""
        return self.filters.shape[1] // 2

    def balance(self, products: np.ndarray) -> np.ndarray:
        """Turn products of filters, shape (..., kernels, y, x), into kernels of the same shape; in place."""
        products[..., 1:, :, :] -= self.sums[1:, None, None] * products[..., :1, :, :]
        return products

    def images(self) -> np.ndarray:
        """Return the kernels, shape (kernels, k, k)."""
        up, across = self.filters[self.pairs[:, 0]], self.filters[self.pairs[:, 1]]
        return self.balance(up[:, :, None] * across[:, None, :])


def make_basis(sigmas_px: tuple[float, ...], degrees: tuple[int, ...]) -> Basis:
    """Make a basis of Gaussians times polynomials; each width has its own highest degree."""
    radius = int(np.ceil(_KERNEL_SIGMA * max(sigmas_px)))
    reach = np.arange(-radius, radius + 1)
    filters: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    for sigma, degree in zip(sigmas_px, degrees, strict=True):
        first = len(filters)
        for power in range(degree + 1):
            profile = (reach / sigma) ** power * np.exp(-(reach**2) / (2 * sigma**2))
            filters.append(profile / (profile.sum() if not filters else np.abs(profile).sum()))
        pairs += [(first + i, first + j) for i, j in polynomial_powers(degree)]
    filled, chosen = np.array(filters), np.array(pairs)
    sums = filled.sum(axis=1)[chosen].prod(axis=1)
    return Basis(filled, chosen, sums)


@dataclass(frozen=True)
class FitOptions:
    """How the kernel is fitted.

    Attributes
    ----------
    order : int
        Highest degree of the variation over the chip; lowered where stars are few.
    width_ratios : tuple of float
        Widths of the Gaussians, in units of the Gaussian that matches two round Gaussian PSFs.
    degrees : tuple of int
        Degree of the polynomial on each Gaussian.
    clip_sigma : float
        Stars whose residual is this many standard deviations above the median are clipped.
    """

    order: int
    width_ratios: tuple[float, ...]
    degrees: tuple[int, ...]
    clip_sigma: float


@dataclass(frozen=True)
class KernelFit:
    """A fitted kernel and the quality of the fit.

    Attributes
    ----------
    kernel : VaryingKernel
        Matches the sharper image to the broader.
    background : ndarray of shape (terms,)
        Polynomial, of the kernel's order, of the broader image's residual level in the stamps. It also absorbs the
        stars' outer wings, so it is no measurement of the sky.
    stars, clipped, held_out : int
        Number of stars fitted; clipped as variable, moving or blended; held out to evaluate the fit.
    heldout_chi2 : float
        Median over the held-out stars of chi squared per pixel, with the pixels' noise alone; NaN without such stars.
    """

    kernel: VaryingKernel
    background: np.ndarray
    stars: int
    clipped: int
    held_out: int
    heldout_chi2: float


def fit_kernel(
    sharp: FitImage,
    broad: FitImage,
    x: np.ndarray,
    y: np.ndarray,
    options: FitOptions,
) -> KernelFit:
    """Fit the kernel that matches the sharper image to the broader.

    Parameters
    ----------
    sharp, broad : FitImage
    x, y : ndarray of shape (n,), pixels
        Positions of stars; transients and variables among them are clipped.
    options : FitOptions

    Raises
    ------
    KernelFitError
        Fewer than 6 stars can be used, or they do not determine a kernel.
    """
    basis = make_basis(choose_widths(sharp.fwhm_px, broad.fwhm_px, options.width_ratios), options.degrees)
    radius = int(np.ceil(_STAMP_FWHM * broad.fwhm_px))
    x, y = _select_complete(sharp, broad, (x, y), radius, basis.radius_px)
    if len(x) < LEAST_STARS:
        raise KernelFitError(
            f"{len(x)} unmasked stars to fit a kernel, {LEAST_STARS} are needed: give a deeper pair, a larger chip or "
            f"engine='zogy' with known PSFs"
        )
    order = choose_order(len(x), options.order)
    problem = _Problem(sharp, broad, basis, (x, y), radius, order)
    held_out = choose_held_out(len(x))
    solution, used = _fit_clipped(problem, held_out, options.clip_sigma)
    kernel, background = problem.build(solution)
    chi2 = problem.misfits(solution, 0.0)[held_out]
    return KernelFit(
        kernel=kernel,
        background=background,
        stars=int(used.sum()),
        clipped=int((~used & ~held_out).sum()),
        held_out=int(held_out.sum()),
        heldout_chi2=float(np.median(chi2)) if len(chi2) else float("nan"),
    )


def choose_widths(sharp_fwhm_px: float, broad_fwhm_px: float, width_ratios: tuple[float, ...]) -> tuple[float, ...]:
    """Return the standard deviations of the basis's Gaussians, in pixels.

    The unit is the Gaussian that broadens one round Gaussian PSF to the other, at least half the sharper PSF's own.
    """
    matching = np.sqrt(max(broad_fwhm_px**2 - sharp_fwhm_px**2, 0)) / 2.355
    unit = max(matching, 0.5 * sharp_fwhm_px / 2.355, _LEAST_SIGMA_PX)
    return tuple(max(ratio * unit, _LEAST_SIGMA_PX) for ratio in width_ratios)


def choose_order(count: int, highest: int) -> int:
    """Return the highest degree, up to `highest`, of a variation over the chip that `count` stars support."""
    return max((order for order, least in _STARS_FOR_ORDER.items() if order <= highest and count >= least), default=0)


def choose_held_out(count: int) -> np.ndarray:
    """Return which of `count` stars are held out, (n,) bool: every fifth, none of fewer than ten."""
    return np.arange(count) % _HELD_OUT == _HELD_OUT - 1 if count >= 2 * _HELD_OUT else np.zeros(count, bool)


def clip_stars(misfit: np.ndarray, held_out: np.ndarray, clip_sigma: float) -> np.ndarray:
    """Return which stars stay in the fit, (n,) bool, by their chi squared, (n,): those not far above the median."""
    typical = np.median(misfit[~held_out])
    scatter = mad_std(misfit[~held_out])
    return ~held_out & (misfit < typical + clip_sigma * max(scatter, 0.1 * typical))


def _fit_clipped(problem: "_Problem", held_out: np.ndarray, clip_sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients, (kernels + 1, terms), and the stars that they were fitted on, (stars,) bool."""
    used = ~held_out
    for _ in range(_CLIP_ROUNDS):
        solution = problem.solve(used)
        clean = clip_stars(problem.misfits(solution, _MODEL_ERROR), held_out, clip_sigma)
        if (clean == used).all() or clean.sum() < LEAST_STARS:
            break
        used = clean
    return solution, used


def _select_complete(
    sharp: FitImage, broad: FitImage, places: tuple[np.ndarray, np.ndarray], radius: int, kernel_radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the stars whose stamps lie within both images and hold no unusable pixel."""
    x, y = places
    height, width = broad.signal.shape
    margin = radius + kernel_radius + 1
    inside = (x > margin) & (y > margin) & (x < width - 1 - margin) & (y < height - 1 - margin)
    x, y = x[inside], y[inside]
    size = 2 * radius + 1
    unusable = cut_stamps(broad.unusable, x, y, size) | cut_stamps(sharp.unusable, x, y, size)
    is_complete = ~unusable.any(axis=(1, 2))
    return x[is_complete], y[is_complete]


class _Problem:
    """Each star's block of the normal equations, and the residuals of a solution."""

    def __init__(
        self,
        sharp: FitImage,
        broad: FitImage,
        basis: Basis,
        places: tuple[np.ndarray, np.ndarray],
        radius: int,
        order: int,
    ) -> None:
        x, y = places
        self.basis, self.order, self.shape, self.size = basis, order, broad.signal.shape, 2 * radius + 1
        self.terms = polynomial_terms(np.rint(x), np.rint(y), broad.signal.shape, order)
        wide = self.size + 2 * basis.radius_px
        self.target = cut_stamps(broad.signal, x, y, self.size).astype(float)
        self.broad_variance = cut_stamps(broad.variance, x, y, self.size).astype(float)
        self.sharp_variance = cut_stamps(sharp.variance, x, y, wide).astype(float)
        self.design = self._convolve(cut_stamps(sharp.signal, x, y, wide).astype(float))
        self.variance = self._weigh()
        pixels = self.size**2
        columns = self.design.reshape(len(x), -1, pixels)
        weighted = columns / self.variance.reshape(len(x), 1, pixels)
        self.blocks = weighted @ columns.swapaxes(1, 2)  # (stars, unknowns, unknowns)
        self.rights = (weighted @ self.target.reshape(len(x), pixels, 1))[..., 0]

    def _convolve(self, stamps: np.ndarray) -> np.ndarray:
        """Return each stamp convolved with each kernel, and a constant, (stars, kernels + 1, size, size)."""
        offsets = np.arange(self.size)[:, None] + 2 * self.basis.radius_px - np.arange(stamps.shape[-1])
        within = (offsets >= 0) & (offsets < self.basis.filters.shape[1])
        bands = np.where(within, self.basis.filters[:, np.where(within, offsets, 0)], 0)  # (filters, size, wide)
        by_row = bands[:, None] @ stamps  # (filters, stars, size, wide)
        design = np.empty((len(stamps), len(self.basis.pairs) + 1, self.size, self.size))
        for number, (up, across) in enumerate(self.basis.pairs):
            design[:, number] = by_row[up] @ bands[across].T
        self.basis.balance(design[:, :-1])
        design[:, -1] = 1
        return design

    def _weigh(self) -> np.ndarray:
        """Return the variance that sets the weights: noise through the kernel's first term, and the model error."""
        ratio = np.median(self.target.sum(axis=(1, 2)) / self.design[:, 0].sum(axis=(1, 2)))
        middle = slice(self.basis.radius_px, self.basis.radius_px + self.size)
        shrunk = ratio**2 * (self.basis.images()[0] ** 2).sum() * self.sharp_variance[:, middle, middle]
        return self.broad_variance + shrunk + (_MODEL_ERROR * self.target) ** 2

    def solve(self, used: np.ndarray) -> np.ndarray:
        """Return the coefficients, shape (kernels + 1, terms), fitted on the stars in `used`, shape (stars,) bool.

        Raises
        ------
        KernelFitError
            The normal equations have no solution.
        """
        unknowns, terms = self.blocks.shape[1], self.terms.shape[1]
        products = (self.terms[:, :, None] * self.terms[:, None, :])[used].reshape(-1, terms**2)
        normal = self.blocks[used].reshape(-1, unknowns**2).T @ products
        normal = normal.reshape(unknowns, unknowns, terms, terms).transpose(0, 2, 1, 3).reshape(unknowns * terms, -1)
        right = (self.rights[used].T @ self.terms[used]).ravel()
        scale = np.sqrt(np.diagonal(normal))
        if not (np.isfinite(normal).all() and np.isfinite(right).all() and (scale > 0).all()):
            raise KernelFitError("the stars do not determine a kernel: one image has no light, or no noise, at them")
        scaled = normal / scale / scale[:, None] + _RIDGE * np.eye(len(scale))
        try:
            return (np.linalg.solve(scaled, right / scale) / scale).reshape(unknowns, terms)
        except np.linalg.LinAlgError as error:
            raise KernelFitError(f"the stars do not determine a kernel: {error}") from error

    def misfits(self, solution: np.ndarray, model_error: float) -> np.ndarray:
        """Return chi squared per pixel of each star, shape (stars,), for a solution of shape (kernels + 1, terms)."""
        unknowns = self.terms @ solution.T  # (stars, kernels + 1)
        residual = self.target - np.einsum("nk,nkyx->nyx", unknowns, self.design, optimize=True)
        kernels = np.tensordot(unknowns[:, :-1], self.basis.images(), 1)
        variance = self.broad_variance + _convolve_each(self.sharp_variance, kernels**2)
        return (residual**2 / (variance + (model_error * self.target) ** 2)).mean(axis=(1, 2))

    def build(self, solution: np.ndarray) -> tuple[VaryingKernel, np.ndarray]:
        """Return the kernel and the background's coefficients, shape (terms,)."""
        coefficients = np.tensordot(solution[:-1].T, self.basis.images(), 1)
        return VaryingKernel(coefficients, self.order, self.shape), solution[-1]


def _convolve_each(stamps: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Convolve stamps, (n, h, h), each with its own kernel, (n, k, k); the valid part, (n, h - k + 1, h - k + 1)."""
    length = fft.next_fast_len(stamps.shape[-1], real=True)
    products = fft.rfft2(stamps, s=(length, length)) * fft.rfft2(kernels, s=(length, length))
    inside = slice(kernels.shape[-1] - 1, stamps.shape[-1])
    return fft.irfft2(products, s=(length, length))[:, inside, inside]
