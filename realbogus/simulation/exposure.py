"""From light to counts: detector signal, full well, noise and digitisation of a stack of exposures."""

from dataclasses import dataclass

import numpy as np

from realbogus.simulation.camera import Detector, DetectorFault

_DARK_E_PER_S, _DARK_KELVIN = 0.5, 290.0
_DARK_GROWTH_PER_K = np.log(12) / 15  # 6 electrons per second at 305 K
_NEAR_WELL_SIGMA = 8
_COMBINED_IMPRINT = 0.12  # share of the detector's defects that survives a combination of dithered exposures
_COMBINED_RESPONSE = 0.3


@dataclass(frozen=True)
class ExposureStack:
    """Number, duration and electronics of the exposures that are summed.

    Attributes
    ----------
    exposures : int
    exposure_s : float
        Duration of one.
    gain_e_per_count, read_noise_e, well_e : float
        Read noise and full well of one exposure.
    """

    exposures: int
    exposure_s: float
    gain_e_per_count: float
    read_noise_e: float
    well_e: float

    @property
    def well_counts(self) -> float:
        """Counts of a sum in which every exposure reached the well."""
        return self.exposures * float(np.rint(self.well_e / self.gain_e_per_count))

    @property
    def counts_per_e(self) -> float:
        """Counts of the sum for one electron in every exposure."""
        return self.exposures / self.gain_e_per_count


def dark_factor(temperature_k: float) -> float:
    """Return the dark current in units of its value at 290 K."""
    return float(np.exp(_DARK_GROWTH_PER_K * (temperature_k - _DARK_KELVIN)))


def draw_detector_light(
    detector: Detector,
    light: np.ndarray,
    stack: ExposureStack,
    temperature_k: float,
    dark_temperature_k: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the signal that a detector adds to a stack after subtraction of its dark frame.

    Parameters
    ----------
    detector : Detector
    light : float32 of shape (y, x)
        Sky and sources, counts of the sum.
    stack : ExposureStack
    temperature_k, dark_temperature_k : float
        Of the exposures, and of the dark frame subtracted from them.
    rng : numpy.random.Generator

    Returns
    -------
    (y, x) float32, counts of the sum
        Uneven response, shot noise and thermal drift of hot pixels, telegraph pixels, bad columns, fixed pattern.
    """
    added = light * (detector.response - 1)
    drift = dark_factor(temperature_k + detector.warm_k) - dark_factor(dark_temperature_k + detector.warm_k)
    scale = np.float32(stack.counts_per_e)
    hot, telegraph = detector.hot, detector.telegraph
    shot = _draw_dark_noise(detector, stack, temperature_k, rng)
    added[hot.y, hot.x] += (hot.value * drift * stack.exposure_s * scale + shot).astype(np.float32)
    high = _draw_switching(detector, stack.exposures, rng)
    added[telegraph.y, telegraph.x] += (telegraph.value * high * scale).astype(np.float32)
    for column in detector.columns:
        flicker = rng.normal(1, 0.3)
        added[column.first_y : column.last_y, column.x] += np.float32(column.offset_e * flicker) * scale
    added += scale * (detector.column_pattern_e + detector.row_pattern_e[:, None])
    return added


def add_fault_light(image: np.ndarray, fault: DetectorFault, stack: ExposureStack, temperature_k: float) -> None:
    """Add the light of a faulty detector, of which no dark frame was subtracted.

    Parameters
    ----------
    image : float32, counts of the sum, of shape (y, x)
        Changed in place.
    fault : DetectorFault
    stack : ExposureStack
    temperature_k : float
        Of the exposures.
    """
    scale = dark_factor(temperature_k) * stack.exposure_s * stack.counts_per_e
    image += np.float32(scale) * fault.glow_e_per_s
    image[fault.hot.y, fault.hot.x] += (fault.hot.value * scale).astype(np.float32)


def combine_detector_light(detector: Detector, light: np.ndarray, stack: ExposureStack) -> np.ndarray:
    """Return the residual signal of a detector in a combination of dithered exposures.

    Parameters
    ----------
    detector : Detector
    light : float32 of shape (y, x)
        Sky and sources, counts of the sum.
    stack : ExposureStack

    Returns
    -------
    (y, x) float32, counts of the sum
    """
    added = light * (_COMBINED_RESPONSE * (np.roll(detector.response, (5, 11), (0, 1)) - 1))
    scale = _COMBINED_IMPRINT * stack.counts_per_e
    excess = np.minimum(0.3 * detector.hot.value * stack.exposure_s, 60)
    added[detector.hot.y, detector.hot.x] += (excess * scale).astype(np.float32)
    for column in detector.columns:
        added[column.first_y : column.last_y, column.x] += np.float32(column.offset_e * scale)
    return added


def _draw_dark_noise(
    detector: Detector, stack: ExposureStack, temperature_k: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the shot noise of the hot pixels' dark current, (n,) counts of the sum."""
    seconds = stack.exposure_s * stack.exposures
    expected = detector.hot.value * dark_factor(temperature_k + detector.warm_k) * seconds
    return (rng.poisson(expected) - expected) / stack.gain_e_per_count


def _draw_switching(detector: Detector, exposures: int, rng: np.random.Generator) -> np.ndarray:
    """Draw each telegraph pixel's mean level over a stack minus its long-term mean, (n,) from -1 to 1."""
    duty, rate = detector.telegraph_duty, detector.telegraph_rate
    high = rng.random(len(duty)) < duty
    total = np.zeros(len(duty))
    for _ in range(exposures):
        total += high
        # A switch redraws the state from the duty, so that the share of time in the upper level remains the duty.
        switching = rng.random(len(duty)) < rate
        high = np.where(switching, rng.random(len(duty)) < duty, high)
    return total / exposures - duty


def clip_light(total: np.ndarray, stars: np.ndarray, stack: ExposureStack) -> None:
    """Subtract the light beyond the full well from the total and from the stars, in place.

    Parameters
    ----------
    total, stars : float32 of shape (y, x)
        Counts of the sum.
    stack : ExposureStack
    """
    over = np.maximum(total - np.float32(stack.well_counts), 0)
    stars -= over
    total -= over


def clip_single(light: np.ndarray, total: np.ndarray, stack: ExposureStack) -> np.ndarray:
    """Clip light of one exposure at the room that the other light leaves in the well, in place.

    Parameters
    ----------
    light : float32, counts, of shape (y, x)
        Light that comes in one exposure only.
    total : (y, x) float32
        The other light, counts of the sum.
    stack : ExposureStack

    Returns
    -------
    (y, x) bool
        The clipped pixels.
    """
    room = np.maximum((np.float32(stack.well_counts) - total) / stack.exposures, 0)
    over = light > room
    np.minimum(light, room, out=light)
    return over


def expose_stack(
    total: np.ndarray,
    single: np.ndarray | None,
    detector: Detector,
    stack: ExposureStack,
    temperature_k: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the counts of a stack of exposures.

    Pixels near the well are drawn exposure by exposure and clipped before they are summed. The others are drawn at
    once, as a normal deviate with the skewness of the Poisson distribution (first term of Cornish and Fisher).

    Parameters
    ----------
    total : float32 of shape (y, x)
        Expected counts of the sum before clipping.
    single : (y, x) float32 or None
        Counts that come in one exposure only.
    detector : Detector
    stack : ExposureStack
    temperature_k : float
    rng : numpy.random.Generator

    Returns
    -------
    pixels : (y, x) float32
        Whole counts, dark and bias subtracted.
    saturated : (y, x) bool
        At least one exposure reached the well.
    """
    gain, exposures = stack.gain_e_per_count, stack.exposures
    level = total if single is None else total + single
    photons = np.maximum(level, 0) * np.float32(gain)
    dark = _DARK_E_PER_S * dark_factor(temperature_k + detector.warm_k) * stack.exposure_s
    variance = photons + np.float32(exposures * (stack.read_noise_e**2 + dark))
    pixels = rng.standard_normal(total.shape, dtype=np.float32)
    skewness = photons / variance ** np.float32(1.5)
    pixels += skewness / 6 * (pixels**2 - 1)
    pixels *= np.sqrt(variance)
    pixels /= np.float32(gain)
    pixels += level
    np.rint(pixels, out=pixels)
    return pixels, _expose_near_well(pixels, total, single, stack, rng)


def _expose_near_well(
    pixels: np.ndarray, total: np.ndarray, single: np.ndarray | None, stack: ExposureStack, rng: np.random.Generator
) -> np.ndarray:
    """Draw the pixels near the well one exposure at a time, in place, and return where it was reached, (y, x) bool."""
    saturated = np.zeros(pixels.shape, bool)
    limit = (stack.well_e - _NEAR_WELL_SIGMA * np.sqrt(stack.well_e)) * stack.counts_per_e
    near = np.nonzero(total > limit)
    expected = total[near].astype(float) / stack.counts_per_e
    drawn = np.zeros(len(expected))
    top = np.rint(stack.well_e / stack.gain_e_per_count)
    reached = np.zeros(len(expected), bool)
    for number in range(stack.exposures):
        electrons = rng.poisson(expected) + rng.normal(0, stack.read_noise_e, len(expected))
        if number == 0 and single is not None:
            electrons += single[near] * stack.gain_e_per_count
        counts = np.rint(electrons / stack.gain_e_per_count)
        reached |= counts >= top
        drawn += np.minimum(counts, top)
    pixels[near], saturated[near] = drawn, reached
    return saturated
