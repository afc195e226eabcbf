"""Drawing transients into a full chip: ours against GalSim and photutils, a source at a time, at equal accuracy.

All three have the same point-spread function at the same places between the pixels. The errors are against GalSim's
Moffat profile itself, integrated over each pixel: the largest of any pixel, in parts of the source's brightest one.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import galsim
import numpy as np
from astropy.table import Table
from photutils.datasets import make_model_image
from photutils.psf import ImagePSF
from scipy import fft
from threadpoolctl import threadpool_limits

from realbogus.psf.kernels import polynomial_powers
from realbogus.psf.model import PsfModel

SHAPE = (1128, 2000)
SOURCES = 2000
JUDGED = 60
REPEATS = 3
FWHM_PX, BETA = 3.0, 3.5
SIZE_PX = 29
FINER = 5
"""Samples in a pixel of the image that the three are made of; odd, so that the middle is a sample."""
ORDER = 2
"""Of the variation over the chip, whose cost ours bears and the others do not have."""

Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def run() -> dict[str, Any]:
    """Return processor seconds for 2,000 sources, the largest errors, and how many times faster ours is."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(20, SHAPE[1] - 20, SOURCES), rng.uniform(20, SHAPE[0] - 20, SOURCES)
    flux = 10 ** rng.uniform(2, 5, SOURCES)
    ways: dict[str, Draw] = {"ours": draw_ours(), "galsim": draw_by_galsim(), "photutils": draw_by_photutils()}
    with threadpool_limits(1):
        errors = {name: largest_error(draw) for name, draw in ways.items()}
        runs = [{name: _processor_s(draw, x, y, flux) for name, draw in ways.items()} for _ in range(REPEATS)]
    return {
        "sources": SOURCES,
        **{f"{name}_s": median(run[name] for run in runs) for name in ways},
        **{f"{name}_error": error for name, error in errors.items()},
        "times_galsim": median(run["galsim"] / run["ours"] for run in runs),
        "times_photutils": median(run["photutils"] / run["ours"] for run in runs),
        "error_ratio": errors["ours"] / min(errors["galsim"], errors["photutils"]),
    }


def profile() -> galsim.GSObject:
    """Return the point-spread function of unit flux, on a scale of pixels."""
    return galsim.Moffat(beta=BETA, fwhm=FWHM_PX, gsparams=galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-5))


def sampled() -> np.ndarray:
    """Return a finely sampled image of the point-spread function, pixels included, in units of a pixel."""
    seen = galsim.Convolve(profile(), galsim.Pixel(1.0))
    side = SIZE_PX * FINER
    return np.asarray(seen.drawImage(nx=side, ny=side, scale=1 / FINER, method="no_pixel").array, float) * FINER**2


def draw_ours() -> Draw:
    """Return the drawing of `PsfModel`, whose point-spread function may vary over the chip."""
    transform = fft.fft2(fft.ifftshift(sampled())) / FINER**2
    up, across = (np.rint(waves * SIZE_PX).astype(int) for waves in (fft.fftfreq(SIZE_PX), fft.rfftfreq(SIZE_PX)))
    up_folded, across_folded = up - np.where(up >= 0, SIZE_PX, -SIZE_PX), across - SIZE_PX
    folded = [(up_folded, across), (up, across_folded), (up_folded, across_folded)]
    varying = np.zeros((len(polynomial_powers(ORDER)), len(up), len(across)), complex)
    varying[0] = transform[np.ix_(up, across)]
    aliases = np.stack([transform[np.ix_(*waves)] for waves in folded])
    model = PsfModel(varying, aliases, ORDER, SHAPE, SIZE_PX, SIZE_PX / 2, FWHM_PX, 0, varying[None])
    return lambda x, y, flux: model.draw(x, y, flux, SHAPE)


def draw_by_galsim() -> Draw:
    """Return a loop of ``InterpolatedImage.drawImage``."""
    psf = galsim.InterpolatedImage(galsim.Image(sampled() / FINER**2), scale=1 / FINER)
    half = SIZE_PX // 2

    def draw(x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
        chip = galsim.ImageF(SHAPE[1], SHAPE[0], xmin=0, ymin=0)
        for across, up, counts in zip(x.tolist(), y.tolist(), flux.tolist(), strict=True):
            column, row = int(np.floor(across + 0.5)), int(np.floor(up + 0.5))
            place = galsim.BoundsI(column - half, column + half, row - half, row + half)
            stamp = galsim.ImageF(place)
            (psf * counts).drawImage(stamp, center=galsim.PositionD(across, up), scale=1.0, method="no_pixel")
            chip[place & chip.bounds] += stamp[place & chip.bounds]
        return np.asarray(chip.array)

    return draw


def draw_by_photutils() -> Draw:
    """Return ``make_model_image`` with an ``ImagePSF``."""
    psf = ImagePSF(sampled(), oversampling=FINER)

    def draw(x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
        sources = Table({"x_0": x, "y_0": y, "flux": flux})
        return np.asarray(make_model_image(SHAPE, psf, sources, model_shape=(SIZE_PX, SIZE_PX)))

    return draw


def largest_error(draw: Draw) -> float:
    """Return the largest error of a pixel within the stamps of some lonely sources, relative to the brightest."""
    rng = np.random.default_rng(1)
    y, x = (axis.ravel()[:JUDGED] for axis in np.mgrid[100:1000:100, 100:1900:100])
    x, y = x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))
    image = draw(x, y, np.ones(len(x)))
    half, errors = SIZE_PX // 2 - 1, []
    for across, up in zip(x, y, strict=True):
        column, row = int(np.floor(across + 0.5)), int(np.floor(up + 0.5))
        stamp = image[row - half : row + half + 1, column - half : column + half + 1]
        exact = profile().drawImage(nx=2 * half + 1, ny=2 * half + 1, scale=1, offset=(across - column, up - row)).array
        errors.append(np.abs(stamp - exact).max() / exact.max())
    return float(np.max(errors))


def _processor_s(draw: Draw, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> float:
    begin = time.process_time()
    draw(x, y, flux)
    return time.process_time() - begin
