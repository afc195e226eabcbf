"""The kernel that turns one image into another of broader PSF: the basis of Alard & Lupton, fitted on stars.

Alard & Lupton 1998, ApJ 503, 325; Alard 2000, A&AS 144, 363 for the variation over the chip: Gaussians times
polynomials, whose coefficients and a background are polynomials of the position. All is one linear fit, whose normal
equations are a sum over stars of small blocks.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from realbogus.psf.kernels import VaryingKernel, polynomial_powers, polynomial_terms
from realbogus.psf.model import cut_stamps

LEAST_STARS = 6
_STARS_FOR_ORDER = {1: 15, 2: 40, 3: 100}
_STAMP_FWHM = 2.5
_KERNEL_SIGMA = 3.0  # reach of the kernel in widths of its broadest Gaussian
_LEAST_SIGMA_PX = 0.7  # a narrower Gaussian is not resolved by the pixels
_MODEL_ERROR = 0.01  # of a star's light, in the weights, so that a few bright stars do not decide the fit
_HELD_OUT = 5  # one star in so many judges the fit
_CLIP_ROUNDS = 3
_RIDGE = 1e-10


class MatchingError(ValueError):
    """No kernel can be fitted to a pair."""


@dataclass(frozen=True)
class Basis:
    """Kernels to be summed: the first has sum 1, the others 0, so that the first alone carries the flux scale.

    Attributes
    ----------
    filters : ndarray, (filters, k)
        Profiles along one axis.
    pairs : ndarray of int, (kernels, 2)
        Rows of `filters` along y and along x.
    sums : ndarray, (kernels,)
        Sum of each product of filters, which is taken off in units of the first.
    """

    filters: np.ndarray
    pairs: np.ndarray
    sums: np.ndarray

    @property
    def radius_px(self) -> int:
        """Pixels on each side of the centre."""
        return self.filters.shape[1] // 2

    def balance(self, products: np.ndarray) -> np.ndarray:
        """Turn products of filters, (..., kernels, y, x), into the kernels; in place."""
        products[..., 1:, :, :] -= self.sums[1:, None, None] * products[..., :1, :, :]
        return products

    def images(self) -> np.ndarray:
        """Return the kernels, (kernels, k, k)."""
        up, across = self.filters[self.pairs[:, 0]], self.filters[self.pairs[:, 1]]
        return self.balance(up[:, :, None] * across[:, None, :])


def make_basis(sigmas_px: tuple[float, ...], degrees: tuple[int, ...]) -> Basis:
    """Make Gaussians of several widths times polynomials up to a degree each."""
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
class FitImage:
    """What the fit reads of one of the two images: signal (counts above the background), variance, unusable pixels."""

    signal: np.ndarray
    variance: np.ndarray
    unusable: np.ndarray
    fwhm_px: float


@dataclass(frozen=True)
class KernelFit:
    """A fitted kernel and how good it is.

    Attributes
    ----------
    kernel : VaryingKernel
        Turns the sharper image into the broader.
    background : ndarray, (terms,)
        Polynomial, of the kernel's order, of what the broader image has beside within the stamps; of use to the fit
        alone, since it also takes up the stars' outer wings.
    stars, clipped, held_out : int
        Used; left out as variable, moving or blended; kept apart to judge the fit.
    heldout_chi2 : float
        Median over the stars kept apart of chi squared a pixel, from the pixels' noise alone; NaN without such stars.
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
    order: int,
    width_ratios: tuple[float, ...],
    degrees: tuple[int, ...],
    clip_sigma: float,
) -> KernelFit:
    """Fit the kernel that turns the sharper image into the broader.

    Parameters
    ----------
    sharp, broad : FitImage
    x, y : ndarray, (n,), pixels
        Stars, a transient or variable among them does no harm.
    order : int
        Highest degree of the variation over the chip; lowered where stars are few.
    width_ratios, degrees
        Of the Gaussians, in units of the Gaussian that would do between round Gaussian PSFs.
    clip_sigma : float
        Stars whose residual is so many standard deviations above the median are left out.

    Raises
    ------
    MatchingError
        Fewer than 6 stars can be used.
    """
    needed = np.sqrt(max(broad.fwhm_px**2 - sharp.fwhm_px**2, 0)) / 2.355
    unit = max(needed, 0.5 * sharp.fwhm_px / 2.355, _LEAST_SIGMA_PX)
    basis = make_basis(tuple(max(ratio * unit, _LEAST_SIGMA_PX) for ratio in width_ratios), degrees)
    radius = int(np.ceil(_STAMP_FWHM * broad.fwhm_px))
    x, y = _keep_whole(sharp, broad, x, y, radius, basis.radius_px)
    if len(x) < LEAST_STARS:
        raise MatchingError(
            f"{len(x)} unmasked stars to fit a kernel, {LEAST_STARS} are needed: give a deeper pair, a larger chip or "
            f"engine='zogy' with known PSFs"
        )
    order = max((o for o, least in _STARS_FOR_ORDER.items() if o <= order and len(x) >= least), default=0)
    problem = _Problem(sharp, broad, basis, x, y, radius, order)
    held_out = np.arange(len(x)) % _HELD_OUT == _HELD_OUT - 1 if len(x) >= 2 * _HELD_OUT else np.zeros(len(x), bool)
    used = ~held_out
    for _ in range(_CLIP_ROUNDS):
        solution = problem.solve(used)
        misfit = problem.misfits(solution, _MODEL_ERROR)
        typical = np.median(misfit[~held_out])
        scatter = 1.4826 * np.median(np.abs(misfit[~held_out] - typical))
        kept = ~held_out & (misfit < typical + clip_sigma * max(scatter, 0.1 * typical))
        if (kept == used).all() or kept.sum() < LEAST_STARS:
            break
        used = kept
    kernel, background = problem.build(solution)
    judged = problem.misfits(solution, 0.0)[held_out]
    return KernelFit(
        kernel=kernel,
        background=background,
        stars=int(used.sum()),
        clipped=int((~used & ~held_out).sum()),
        held_out=int(held_out.sum()),
        heldout_chi2=float(np.median(judged)) if len(judged) else float("nan"),
    )


def _keep_whole(
    sharp: FitImage, broad: FitImage, x: np.ndarray, y: np.ndarray, radius: int, kernel_radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stars whose stamps lie within both images and hold no unusable pixel."""
    height, width = broad.signal.shape
    margin = radius + kernel_radius + 1
    inside = (x > margin) & (y > margin) & (x < width - 1 - margin) & (y < height - 1 - margin)
    x, y = x[inside], y[inside]
    size = 2 * radius + 1
    spoiled = cut_stamps(broad.unusable, x, y, size) | cut_stamps(sharp.unusable, x, y, size)
    clean = ~spoiled.any(axis=(1, 2))
    return x[clean], y[clean]


class _Problem:
    """The normal equations of each star, and residuals of a solution."""

    def __init__(
        self, sharp: FitImage, broad: FitImage, basis: Basis, x: np.ndarray, y: np.ndarray, radius: int, order: int
    ) -> None:
        self.basis, self.order, self.shape, self.size = basis, order, broad.signal.shape, 2 * radius + 1
        self.terms = polynomial_terms(np.rint(x), np.rint(y), broad.signal.shape, order)
        self.x, self.y = x, y
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
        """Return the variance that the weights stand for: that of the kernel's first term, and the model error."""
        ratio = np.median(self.target.sum(axis=(1, 2)) / self.design[:, 0].sum(axis=(1, 2)))
        middle = slice(self.basis.radius_px, self.basis.radius_px + self.size)
        shrunk = ratio**2 * (self.basis.images()[0] ** 2).sum() * self.sharp_variance[:, middle, middle]
        return self.broad_variance + shrunk + (_MODEL_ERROR * self.target) ** 2

    def solve(self, used: np.ndarray) -> np.ndarray:
        """Return the coefficients, (kernels + 1, terms), from the stars in `used`."""
        unknowns, terms = self.blocks.shape[1], self.terms.shape[1]
        products = (self.terms[:, :, None] * self.terms[:, None, :])[used].reshape(-1, terms**2)
        normal = self.blocks[used].reshape(-1, unknowns**2).T @ products
        normal = normal.reshape(unknowns, unknowns, terms, terms).transpose(0, 2, 1, 3).reshape(unknowns * terms, -1)
        right = (self.rights[used].T @ self.terms[used]).ravel()
        scale = np.sqrt(np.diagonal(normal))
        scaled = normal / scale / scale[:, None] + _RIDGE * np.eye(len(scale))
        return (np.linalg.solve(scaled, right / scale) / scale).reshape(unknowns, terms)

    def misfits(self, solution: np.ndarray, model_error: float) -> np.ndarray:
        """Return chi squared a pixel of each star, (stars,)."""
        unknowns = self.terms @ solution.T  # (stars, kernels + 1)
        residual = self.target - np.einsum("nk,nkyx->nyx", unknowns, self.design, optimize=True)
        kernels = np.tensordot(unknowns[:, :-1], self.basis.images(), 1)
        variance = self.broad_variance + _convolve_each(self.sharp_variance, kernels**2)
        return (residual**2 / (variance + (model_error * self.target) ** 2)).mean(axis=(1, 2))

    def build(self, solution: np.ndarray) -> tuple[VaryingKernel, np.ndarray]:
        """Return the kernel and the background's polynomial."""
        coefficients = np.tensordot(solution[:-1].T, self.basis.images(), 1)
        return VaryingKernel(coefficients, self.order, self.shape), solution[-1]


def _convolve_each(stamps: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Convolve each stamp, (n, h, h), with its own kernel, (n, k, k); what lies within, (n, h - k + 1, ...)."""
    length = fft.next_fast_len(stamps.shape[-1], real=True)
    products = fft.rfft2(stamps, s=(length, length)) * fft.rfft2(kernels, s=(length, length))
    inside = slice(kernels.shape[-1] - 1, stamps.shape[-1])
    return fft.irfft2(products, s=(length, length))[:, inside, inside]
