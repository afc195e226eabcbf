"""Photometry, centroids and noise of the difference on simulated chips, whose truth is known.

Scene transients are drawn with the simulation's own PSF, which the chain has to measure. What a figure rests on is
counted beside it; ``_low`` and ``_high`` are the ends of its 95 % interval from resampling chips.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, sparse

from realbogus.simulation.camera import Detector, PixelDefects
from realbogus.simulation.scene import SourceKind
from realbogus.simulation.survey import SimulatedVisit, Survey, SurveySettings
from realbogus.subtraction.alignment import align
from realbogus.subtraction.detection import detect
from realbogus.subtraction.difference import Difference
from realbogus.subtraction.fit_inputs import find_unusable
from realbogus.subtraction.significance import NoiseSource, estimate_variance, measure_significance
from realbogus.subtraction.subtract import subtract

PHOTOMETRY_CHIPS, NOISE_CHIPS = 16, 30
CHIP_STEP = 11
"""From one visit's chip to the next one's, so that a few visits go over the mosaic."""
RATIOS = (0.0, 0.2, 1.0, 2.0)
LEVELS = (3.0, 4.0, 5.0)
BRIGHT, CENTROID = 20.0, 50.0
"""S/N above which fluxes and centroids are judged."""
LEAST_EVENTS = 10
MARGIN_PX = 20
MATCH_PX = 2.0
ALONE_PX = 12.0
"""To the next transient: crowded ones are another question."""
EMPTY_SHARE = 0.3
"""Of a pixel's noise: where sources give less, the sky is empty."""
NOTHING_HAPPENS: dict[str, float] = {
    "transients_per_visit": 0,
    "variables": 0,
    "asteroids": 0,
    "flares": 0,
    "particle_rate": 0,
    "trail_rate": 0,
    "hole_rate": 0,
    "reference_asteroids": 0,
}
PURE_DRAWS = 3


def run(photometry_chips: int = PHOTOMETRY_CHIPS, noise_chips: int = NOISE_CHIPS) -> dict[str, float]:
    """Return the figures; some 4 minutes."""
    return {
        **measure_photometry(photometry_chips),
        **{f"exact_{name}": value for name, value in measure_photometry(photometry_chips, registration=0.0).items()},
        **measure_filter_noise(),
        **measure_false_alarms(noise_chips, faults=False),
        **{f"faulty_{name}": value for name, value in measure_false_alarms(noise_chips // 5, faults=True).items()},
    }


@dataclass(frozen=True)
class Measured:
    """Scene transients that were detected: arrays of one length.

    chip, hosted; x, y, flux, error : true place and flux, standard deviation of the flux
    detected_flux, across, up, snr : as detected, the centroid's offsets in pixels
    """

    chip: np.ndarray
    hosted: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    error: np.ndarray
    detected_flux: np.ndarray
    across: np.ndarray
    up: np.ndarray
    snr: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """Measured over true flux."""
        return self.detected_flux / self.flux

    @property
    def pull(self) -> np.ndarray:
        """Error of the flux in standard deviations."""
        return (self.detected_flux - self.flux) / self.error

    def take(self, rows: np.ndarray) -> "Measured":
        """Return some of them."""
        return Measured(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def measure_photometry(chips: int, registration: float | None = None) -> dict[str, float]:
    """Compare detections with the truth; `registration` in pixels, as shipped when None."""
    told = {} if registration is None else {"registration_rms_px": registration}
    survey = Survey(SurveySettings(seed=1, transients_per_visit=60, **told))  # type: ignore[arg-type]
    found = [_measure_chip(survey, number) for number in range(chips)]
    everything = Measured(*(np.concatenate(column) for column in zip(*found, strict=True)))
    expected = everything.flux / everything.error
    bright = everything.take(expected > BRIGHT)
    sharp = everything.take(expected > CENTROID)
    faint = everything.take((expected > 8) & (expected < BRIGHT))
    return {
        "transients": len(everything.x),
        "bright": len(bright.x),
        **_with_interval("flux_ratio", bright, lambda some: float(np.median(some.ratio))),
        **_with_interval("hosted_flux_ratio", bright.take(bright.hosted), lambda some: float(np.median(some.ratio))),
        **_with_interval("hostless_flux_ratio", bright.take(~bright.hosted), lambda some: float(np.median(some.ratio))),
        "flux_off": abs(float(np.median(bright.ratio)) - 1),
        "flux_off_worst_cut": max(_beyond_noise(bright, cut) for cut in (_phase, _place, _brightness)),
        "within_2_percent_and_noise": float(np.mean(np.abs(bright.pull) < 2 + 0.02 * bright.flux / bright.error)),
        "faint_pull_std": float(np.std(faint.pull)),
        "faint_hostless_pull_std": float(np.std(faint.pull[~faint.hosted])),
        "sharp": len(sharp.x),
        "centroid_mean_px": float(np.hypot(sharp.across.mean(), sharp.up.mean())),
        **_with_interval("centroid_std_px", sharp, lambda some: float(max(some.across.std(), some.up.std()))),
    }


def _measure_chip(survey: Survey, number: int) -> tuple[np.ndarray, ...]:
    visit = survey.chip_visit(number, number * CHIP_STEP % survey.settings.detectors, 0)
    difference = subtract(align(visit.pair))
    detections = detect(difference)
    detections = detections.take(detections.positive)
    truth = [source for source in visit.truth if source.kind is SourceKind.TRANSIENT]
    x, y, flux = (np.array([getattr(source, name) for source in truth]) for name in ("x", "y", "flux_counts"))
    hosted = np.isfinite([source.host_separation_arcsec for source in truth])
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(len(x))
    height, width = difference.pixels.shape
    chosen = (apart.min(axis=1) > ALONE_PX) & (np.minimum(x, width - 1 - x) > MARGIN_PX)
    chosen &= np.minimum(y, height - 1 - y) > MARGIN_PX
    away = np.hypot(detections.x[:, None] - x, detections.y[:, None] - y)
    chosen &= away.min(axis=0) < MATCH_PX
    nearest = away.argmin(axis=0)[chosen]
    x, y, flux, hosted = x[chosen], y[chosen], flux[chosen], hosted[chosen]
    error = difference.flux_error[np.rint(y).astype(int), np.rint(x).astype(int)]
    one = detections.take(nearest)
    chip = np.full(len(x), number)
    return chip, hosted, x, y, flux, error, one.flux_counts, one.x - x, one.y - y, one.snr


def _with_interval(name: str, measured: Measured, statistic: Callable[[Measured], float]) -> dict[str, float]:
    """Return a statistic and its 95 % interval from resampling chips."""
    rng = np.random.default_rng(0)
    chips = np.unique(measured.chip)
    rows = {chip: np.flatnonzero(measured.chip == chip) for chip in chips}
    drawn = []
    for _ in range(300):
        again = np.concatenate([rows[chip] for chip in rng.choice(chips, len(chips))])
        drawn.append(statistic(measured.take(again)))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {name: statistic(measured), f"{name}_low": float(low), f"{name}_high": float(high)}


def _phase(measured: Measured) -> np.ndarray:
    """Number the quarter of the pixel, by the distance of its centre from the source in x and y."""
    inner = [np.abs(place - np.rint(place)) < 0.25 for place in (measured.x, measured.y)]
    return np.asarray(2 * inner[0] + inner[1])


def _place(measured: Measured) -> np.ndarray:
    """Number the third of the chip, across and up."""
    return np.asarray(3 * (measured.x / 667).astype(int) + (measured.y / 376).astype(int))


def _brightness(measured: Measured) -> np.ndarray:
    """Number the magnitude above the faintest."""
    return np.asarray(2.5 * np.log10(measured.flux / measured.flux.min())).astype(int)


def _beyond_noise(measured: Measured, cut: Callable[[Measured], np.ndarray]) -> float:
    """Return how far, over any part of a cut, the median ratio is from 1, less two of its standard errors."""
    part = cut(measured)
    worst = 0.0
    for one in np.unique(part):
        ratio = measured.ratio[part == one]
        if len(ratio) >= LEAST_EVENTS:
            error = 1.2533 * 1.4826 * np.median(np.abs(ratio - np.median(ratio))) / np.sqrt(len(ratio))
            worst = max(worst, abs(float(np.median(ratio)) - 1) - 2 * float(error))
    return worst


def measure_filter_noise() -> dict[str, float]:
    """Send pure noise of several ratios of variance through the filters of two chips, one that convolves each frame."""
    survey = Survey(SurveySettings(seed=1))
    differences: dict[str, Difference] = {}
    for number in (0, 2):
        one = subtract(align(survey.chip_visit(number, number * CHIP_STEP, 0).pair))
        differences[str(one.convolved)] = one
    figures = {}
    for ratio in RATIOS:
        # in units of the new frame's counts, as the difference is
        scatter = [np.nanstd(_filter_noise(one, ratio, number)) for number, one in enumerate(differences.values())]
        worst = max(scatter, key=lambda value: abs(value - 1))
        figures[f"noise_std_at_{ratio:g}"] = float(worst)
    figures["filters"] = len(differences)
    figures["noise_off"] = max(abs(figures[f"noise_std_at_{ratio:g}"] - 1) for ratio in RATIOS)
    return figures


def _filter_noise(difference: Difference, ratio: float, seed: int) -> np.ndarray:
    """Return the S/N of frames without any source, V_ref over V_new being `ratio` in the new frame's counts."""
    shape = difference.pixels.shape
    new = np.ones(shape, np.float32)
    reference = np.full(shape, ratio / difference.scale**2, np.float32)
    return _draw_significance(difference, new, reference, np.random.default_rng(seed))


def _draw_significance(
    difference: Difference, new: np.ndarray, reference: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the S/N of pure noise of these variances that went through a difference's kernel and filter."""
    assert difference.kernel is not None
    drawn = [np.sqrt(part) * rng.standard_normal(part.shape, dtype=np.float32) for part in (new, reference)]
    if difference.convolved == "reference":
        pixels, scale = drawn[0] - difference.kernel.convolve(drawn[1]), np.ones((), np.float32)
    else:
        scale = difference.kernel.sums()
        pixels = (difference.kernel.convolve(drawn[0]) - drawn[1]) / scale
    sources = [
        NoiseSource(variance / scale**2, difference.kernel if difference.convolved == which else None)
        for which, variance in (("new", new), ("reference", reference))
    ]
    lost = ~np.isfinite(difference.snr)
    return measure_significance(
        np.where(lost, np.float32(np.nan), pixels), difference.psf, difference.fwhm_px, sources
    )[0][reach(difference)]


def reach(difference: Difference) -> tuple[slice, slice]:
    """Return the part of the chip whose filters lie within it."""
    edge = 2 * MARGIN_PX
    height, width = difference.pixels.shape
    return slice(edge, height - edge), slice(edge, width - edge)


class FaultlessSurvey(Survey):
    """A survey whose detectors have neither hot nor telegraph pixels, bad columns, pattern nor uneven response."""

    def _detector(self, chip: int) -> Detector:
        none = PixelDefects(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
        detector = super()._detector(chip)
        return replace(
            detector,
            response=np.ones_like(detector.response),
            hot=none,
            telegraph=none,
            telegraph_duty=np.zeros(0),
            telegraph_rate=np.zeros(0),
            columns=(),
            column_pattern_e=np.zeros_like(detector.column_pattern_e),
            row_pattern_e=np.zeros_like(detector.row_pattern_e),
        )


def measure_false_alarms(chips: int, *, faults: bool) -> dict[str, float]:
    """Count peaks on the empty sky of chips on which nothing happens, and in pure noise through the same filter.

    With `faults` the detectors are as shipped and the counts are what these add.
    """
    survey = (Survey if faults else FaultlessSurvey)(SurveySettings(seed=1, **NOTHING_HAPPENS))  # type: ignore[arg-type]
    peaks, expected, scatter = np.zeros((2, len(LEVELS))), np.zeros(len(LEVELS)), []
    for number in range(chips):
        visit = survey.chip_visit(number, number * CHIP_STEP % survey.settings.detectors, 0)
        difference = subtract(align(visit.pair))
        empty = _find_empty_sky(visit, difference)
        peaks += _count_peaks(difference, difference.snr, empty)
        scatter.append(float(difference.snr[empty].std()))
        for draw in range(PURE_DRAWS):
            noise = _imitate(difference, np.random.default_rng([number, draw]))
            expected += _count_peaks(difference, noise, empty).sum(axis=0) / 2 / PURE_DRAWS
    figures = {"sky_std": float(np.mean(scatter)), "sky_std_off": max(abs(value - 1) for value in scatter)}
    for level, (positive, negative), pure in zip(LEVELS, peaks.T, expected, strict=True):
        figures |= {f"peaks_over_{level:g}": positive, f"holes_under_{level:g}": negative, f"pure_{level:g}": pure}
        figures[f"alarm_factor_{level:g}"] = _factor(positive, negative, pure)
    return figures


def _factor(positive: float, negative: float, pure: float) -> float:
    """Return how far the counts of either sign are from what is expected, as a factor; of both where each has few."""
    few = min(positive, negative, pure) < LEAST_EVENTS
    ratios = [(positive + negative) / (2 * pure)] if few else [positive / pure, negative / pure]
    return max(max(ratio, 1 / max(ratio, 1e-9)) for ratio in ratios)


def _imitate(difference: Difference, rng: np.random.Generator) -> np.ndarray:
    """Return the S/N of pure noise with the variance that the chain takes the two frames to have."""
    frames = difference.pair.new, difference.pair.reference
    new, reference = (estimate_variance(frame, frame.signal(), find_unusable(frame)) for frame in frames)
    whole = np.full(difference.snr.shape, np.nan, np.float32)
    whole[reach(difference)] = _draw_significance(difference, new, reference, rng)
    return whole


def _count_peaks(difference: Difference, snr: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the peaks of either sign above each level, (2, levels)."""
    found = detect(replace(difference, snr=snr), LEVELS[0])
    row, column = np.rint(found.y).astype(int), np.rint(found.x).astype(int)
    strength = found.snr[where[np.clip(row, 0, snr.shape[0] - 1), np.clip(column, 0, snr.shape[1] - 1)]]
    return np.array([[(sign * strength > level).sum() for level in LEVELS] for sign in (1, -1)])


def _find_empty_sky(visit: SimulatedVisit, difference: Difference) -> np.ndarray:
    """Return the pixels, (y, x) bool, near which no source of the scene gives light in either frame."""
    across, up = (round(part) for part in visit.light.shift_px)
    lit = np.zeros(difference.pixels.shape, bool)
    for lights, frame, shift in (
        (visit.light.new, difference.pair.new, (0, 0)),
        (visit.light.reference, difference.pair.reference, (up, across)),
    ):
        total = np.zeros(lit.shape, np.float32)
        for name, light in lights.items():
            if name != "detector":
                total += np.abs(light.toarray() if isinstance(light, sparse.csr_array) else light)
        lit |= np.roll(total, shift, (0, 1)) > EMPTY_SHARE * np.median(frame.background_rms)
    empty = np.zeros(lit.shape, bool)
    empty[reach(difference)] = True
    return empty & (ndimage.maximum_filter(lit, 9) == 0) & np.isfinite(difference.snr)
