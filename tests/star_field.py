"""Small fields of Moffat stars with a known PSF, for the tests of PSF, alignment, subtraction and detection."""

from dataclasses import dataclass

import numpy as np

from realbogus.frames import Frame, Mask, Pair, measure_background
from realbogus.psf.stars import Stars
from realbogus.subtraction.difference import Difference

BETA = 3.5
SHAPE = (440, 560)
_NODES = np.array([-0.5, 0.0, 0.5]) * np.sqrt(3 / 5)
_WEIGHTS = np.array([5, 8, 5]) / 18


@dataclass(frozen=True)
class Optics:
    """FWHM in pixels at the chip's middle, its relative rise to the right edge, ellipticity at the upper edge."""

    fwhm: float
    slope: float = 0.05
    stretch: float = 0.03


def draw_light(shape, x, y, flux, optics, radius=25):
    """Return stars integrated over each pixel by Gauss-Legendre nodes, (y, x) float64."""
    image = np.zeros(shape)
    for column, row, counts in zip(x, y, flux, strict=True):
        left, top = (max(int(np.floor(place + 0.5)) - radius, 0) for place in (column, row))
        xs = np.arange(left, min(int(np.floor(column + 0.5)) + radius + 1, shape[1]))
        ys = np.arange(top, min(int(np.floor(row + 0.5)) + radius + 1, shape[0]))[:, None]
        if not (xs.size and ys.size):
            continue
        fwhm = optics.fwhm * (1 + optics.slope * (2 * column / shape[1] - 1))
        squeeze = optics.stretch * (2 * row / shape[0] - 1)
        scale = fwhm / 2 / np.sqrt(2 ** (1 / BETA) - 1)
        norm = (BETA - 1) / np.pi / scale**2 * (1 - squeeze**2)
        total = 0.0
        for across, wide in zip(_NODES, _WEIGHTS, strict=True):
            for up, high in zip(_NODES, _WEIGHTS, strict=True):
                dx, dy = (xs + across - column) * (1 + squeeze), (ys + up - row) * (1 - squeeze)
                total = total + wide * high * (1 + (dx**2 + dy**2) / scale**2) ** -BETA
        image[ys[0, 0] : ys[-1, 0] + 1, left : xs[-1] + 1] += counts * norm * total
    return image


def scatter_stars(rng, count, shape=SHAPE, least=8e3, most=8e4, apart=22.0):
    """Return x, y, flux of stars that keep their distance."""
    x, y = [], []
    for _ in range(100 * count):
        place = rng.uniform(3, shape[1] - 4), rng.uniform(3, shape[0] - 4)
        if all(np.hypot(place[0] - a, place[1] - b) > apart for a, b in zip(x, y, strict=True)):
            x.append(place[0])
            y.append(place[1])
        if len(x) == count:
            break
    return np.array(x), np.array(y), np.exp(rng.uniform(np.log(least), np.log(most), len(x)))


def expose(light, sky, rng, *, noise=1.0, gain=1.0, saturation=1e9, wcs=None, exact_sky=False):
    """Return a frame of this light: Poisson noise of sky and sources, scaled by `noise`, clipped at saturation.

    `exact_sky` gives the true background in place of the measured, which so many stars in so few cells make uneven.
    """
    counts = light + sky + noise * np.sqrt((light + sky) / gain) * rng.standard_normal(light.shape)
    mask = np.where(counts >= saturation, int(Mask.SATURATED), 0).astype(np.uint8)
    pixels = np.minimum(counts, saturation).astype(np.float32)
    background, rms = measure_background(pixels, mask > 0)
    if exact_sky:
        background, rms = np.full_like(pixels, sky), np.full_like(pixels, max(noise, 0.01) * np.sqrt(sky / gain))
    gain_seen = gain / noise**2 if noise else 1e12
    return Frame(pixels, mask, background, rms, gain_seen, saturation, None, 1.0, wcs=wcs)


def make_pair(new, reference, aligned=True):
    return Pair(new, reference, aligned, detector="d0", night="n0", visit=1, sky_cell="c0")


def gaussian_stamp(size, sigma):
    """Return a round Gaussian, (size, size), of sum 1 about its middle pixel."""
    steps = np.arange(size) - size // 2
    stamp = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * sigma**2))
    return stamp / stamp.sum()


def plain_frame(signal, *, sky=0.0, rms=1.0, gain=1.0, mask=None, **facts):
    """Return a frame of this signal over a flat, known background; masked empty pixels become NaN."""
    signal = np.asarray(signal, np.float32)
    mask = np.zeros(signal.shape, np.uint8) if mask is None else mask.astype(np.uint8)
    pixels = np.where(mask & Mask.NO_DATA, np.nan, signal + sky).astype(np.float32)
    level, noise = np.full_like(signal, sky), np.full_like(signal, rms)
    return Frame(pixels, mask, level, noise, gain, facts.pop("saturation", 1e9), None, 1.0, **facts)


def list_stars(x, y, flux, **flags):
    """Return stars that every selection takes, except for the columns given in `flags`."""
    count = len(x)
    columns = {
        **{"x": x, "y": y, "flux": flux, "snr": np.full(count, 1000.0), "peak": flux, "fwhm": np.full(count, 3.0)},
        **{"saturated": np.zeros(count, bool), "isolated": np.ones(count, bool), "star_like": np.ones(count, bool)},
    }
    return Stars(**{name: np.asarray(values) for name, values in {**columns, **flags}.items()})


def make_difference(pixels, psf, *, snr=None, error=1.0, mask=None, fwhm=None, kernel=None):
    """Return a difference of these pixels, its S/N by default their ratio to a constant flux error."""
    pixels = np.asarray(pixels, np.float32)
    mask = np.zeros(pixels.shape, np.uint8) if mask is None else mask.astype(np.uint8)
    frame = plain_frame(np.zeros(pixels.shape))
    return Difference(
        pixels=pixels,
        snr=pixels / np.float32(error) if snr is None else np.asarray(snr, np.float32),
        flux_error=np.full(pixels.shape, error, np.float32),
        mask=mask,
        psf=psf,
        fwhm_px=psf.fwhm_px if fwhm is None else fwhm,
        matched_new=pixels,
        matched_reference=np.zeros_like(pixels),
        background=np.zeros_like(pixels),
        convolved="unknown",
        scale=1.0,
        kernel=kernel,
        fit=None,
        pair=make_pair(frame, frame),
    )
