"""A full chip-visit on one core: simulating its pair, working on it, and subtracting it against the package sfft.

Seconds are the processor's, of one thread, the median over three chips, each simulated for the first time; ratios are
to drawing the Poisson noise of as many pixels. The comparison with sfft is of a quarter of a chip, for its NumPy
backend takes half a minute for that (6 to 10 s of it to compile its loops), and is left out where that package is not
installed.
"""

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from realbogus.frames import Pair
from realbogus.injection.chip_visit import VisitSettings, work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.psf.measure import measure_psf
from realbogus.psf.model import cut_stamps
from realbogus.psf.stars import Stars, find_stars
from realbogus.simulation.survey import Survey, SurveySettings
from realbogus.subtraction.alignment import align
from realbogus.subtraction.difference import Difference
from realbogus.subtraction.subtract import SubtractionSettings, subtract

CHIPS = (11, 40, 66)
QUARTER = SurveySettings(height_px=564, width_px=1000)
EXPOSURES, SKY_ELECTRONS = 13, 1_000.0
"""Of a visit with its reference; a sky level of the order of the survey's."""
_REACH_PX = 3
_BRIGHT_SNR = 50

Result = TypeVar("Result")


def run() -> dict[str, Any]:
    """Measure chips one after the other."""
    survey = Survey(SurveySettings())
    simulate_s, work_s, noise_s = [], [], []
    with threadpool_limits(1):
        visit = survey.chip_visit(0, 0, 0)  # imports, and tables that every chip shares
        for chip in CHIPS:
            seconds, visit = _timed(partial(survey.chip_visit, 0, chip, 0))
            simulate_s.append(seconds)
            rng = np.random.default_rng(chip)
            pixels = (EXPOSURES, *visit.pair.new.shape)
            noise_s.append(_timed(partial(np.random.default_rng(0).poisson, SKY_ELECTRONS, pixels))[0])
            work_s.append(_timed(partial(work_visit, visit.pair, hosts_of(visit.galaxies), VisitSettings(), rng))[0])
        quarter = align(Survey(QUARTER).chip_visit(0, CHIPS[0], 0).pair)
        compared = against_sfft(quarter) if find_spec("sfft") else {}
    height, width = visit.pair.new.shape
    return {
        "megapixels": height * width / 1e6,
        "simulate_s": median(simulate_s),
        "simulate_of_noise": median(ours / noise for ours, noise in zip(simulate_s, noise_s, strict=True)),
        "work_s": median(work_s),
        "work_of_noise": median(ours / noise for ours, noise in zip(work_s, noise_s, strict=True)),
        **compared,
    }


def against_sfft(pair: Pair) -> dict[str, float]:
    """Subtract a pair by our kernel and by sfft with NumPy, both given the PSFs and half of the stars to fit on."""
    stars = find_stars(pair.new)
    fitted, others = (stars.take(np.arange(len(stars)) % 2 == half) for half in (0, 1))
    known: dict[str, Any] = {
        "stars": fitted,
        "psf_new": measure_psf(pair.new, stars),
        "psf_reference": measure_psf(pair.reference),
    }
    seconds, residuals = {}, {}
    for engine in ("alard-lupton", "sfft"):
        settings = SubtractionSettings.model_validate({"engine": engine})
        seconds[engine], difference = _timed(partial(subtract, pair, settings, **known))
        residuals[engine] = star_residual(difference, others)
    return {
        "subtract_s": seconds["alard-lupton"],
        "sfft_subtract_s": seconds["sfft"],
        "residual": residuals["alard-lupton"],
        "sfft_residual": residuals["sfft"],
        "times_sfft": seconds["sfft"] / seconds["alard-lupton"],
        "residual_ratio": residuals["alard-lupton"] / residuals["sfft"],
    }


def star_residual(difference: Difference, stars: Stars) -> float:
    """Return what is left in the core of a bright star, in parts of its light there; the median of the stars."""
    new, size = difference.pair.new, 2 * _REACH_PX + 1
    height, width = new.shape
    inside = (stars.x > size) & (stars.x < width - size) & (stars.y > size) & (stars.y < height - size)
    chosen = stars.take(inside & stars.star_like & stars.isolated & ~stars.saturated & (stars.snr > _BRIGHT_SNR))
    left = cut_stamps(difference.pixels, chosen.x, chosen.y, size)
    light = cut_stamps(new.signal(), chosen.x, chosen.y, size)
    whole = np.isfinite(left).all(axis=(1, 2))
    shares = np.sqrt(np.square(left[whole]).sum(axis=(1, 2)) / np.square(light[whole]).sum(axis=(1, 2)))
    return float(np.median(shares))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result
