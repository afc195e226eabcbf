"""Artefacts: particle hits, satellite trails, ghosts and spikes of bright stars, defects of a reference.

Each is added in place as light (counts) to the image of its own origin, (y, x) float32.
"""

from dataclasses import dataclass

import numpy as np

from realbogus.simulation.rendering import FrameSources

_PARTICLES_PER_PX_S = 1.2 / 9 / (2000 * 1128)
_PARTICLE_E = (650.0, 0.8)  # median and scatter (ln) of a track's charge in one pixel
_GHOST_MAG = 10.5
_GHOST_SHARE, _HALO_SHARE, _SPIKE_SHARE = 5e-3, 6e-3, 4e-3
_PATCH_PX = 120
_SPIDER_RAD = np.pi / 4
_REFERENCE_PARTICLES = 0.05  # share of tracks that survive the combination of exposures


@dataclass(frozen=True)
class Trail:
    """A satellite's trail, a straight line of light.

    Attributes
    ----------
    x, y : float
        Centre of the trail, pixels.
    angle_rad : float
        From +x to +y.
    length_px, width_px : float
        Length of the line and FWHM across it.
    counts_per_px : float
        Light per pixel of length.
    tumbling : (depth, wavelength_px, phase)
        Modulation of the brightness along the line; depth 0 is steady, 1 fades to nothing.
    """

    x: float
    y: float
    angle_rad: float
    length_px: float
    width_px: float
    counts_per_px: float
    tumbling: tuple[float, float, float]


def add_particles(image: np.ndarray, rng: np.random.Generator, seconds: float, gain: float, rate: float) -> None:
    """Add straight, sharp tracks of charged particles, one to a dozen pixels long, each in one exposure.

    Parameters
    ----------
    image : float32, counts, of shape (y, x)
        Changed in place.
    rng : numpy.random.Generator
    seconds : float
        Total exposure time.
    gain : float
        Electrons per count.
    rate : float
        1 is about one muon per square centimetre and minute.
    """
    height, width = image.shape
    for _ in range(rng.poisson(rate * _PARTICLES_PER_PX_S * seconds * image.size)):
        length = min(rng.exponential(1.5), 25.0)
        angle = rng.uniform(0, 2 * np.pi)
        steps = np.linspace(0, length, max(1, int(np.ceil(4 * length))))
        x = np.floor(rng.uniform(0, width) + steps * np.cos(angle)).astype(int)
        y = np.floor(rng.uniform(0, height) + steps * np.sin(angle)).astype(int)
        charge = rng.lognormal(np.log(_PARTICLE_E[0]), _PARTICLE_E[1]) * max(1.0, length) / len(steps)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        np.add.at(image, (y[inside], x[inside]), charge * rng.gamma(4, 0.25, inside.sum()) / gain)


def add_reference_particles(
    image: np.ndarray, rng: np.random.Generator, seconds: float, gain: float, rate: float
) -> None:
    """Add the tracks that survive the combination of exposures; `image` has shape (y, x), see `add_particles`."""
    add_particles(image, rng, seconds * _REFERENCE_PARTICLES, gain, rate)


def add_trails(
    image: np.ndarray, rng: np.random.Generator, exposure_s: float, counts_of_mag: float, width_px: float, rate: float
) -> None:
    """Add the trails of satellites that cross during one exposure; some tumble, which breaks the trail into dashes.

    Parameters
    ----------
    image : float32, counts, of shape (y, x)
        Changed in place.
    rng : numpy.random.Generator
    exposure_s : float
        Duration of one exposure.
    counts_of_mag : float
        Counts of a source of magnitude 0 in one exposure.
    width_px : float
        FWHM across the trail.
    rate : float
        Mean number of trails per chip-visit.
    """
    height, width = image.shape
    for _ in range(rng.poisson(rate)):
        length = 10 ** rng.uniform(2.2, 3.2) * exposure_s / 0.5
        counts = counts_of_mag * 10 ** (-0.4 * rng.uniform(9, 12.5)) / length
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
        add_trail(image, Trail(x, y, angle, length, width_px, counts, _draw_tumbling(rng)))


def _draw_tumbling(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw depth (0 for steady light), wavelength in pixels and phase of a trail's brightness."""
    depth = rng.uniform(0.5, 1) if rng.random() < 0.4 else 0.0
    return depth, 10 ** rng.uniform(1.3, 2.3), rng.uniform(0, 2 * np.pi)


def add_trail(image: np.ndarray, trail: Trail) -> None:
    """Add one trail of Moffat profile (beta 2) to an image of shape (y, x), in place, out to 5 FWHM across it."""
    height, width = image.shape
    x = np.arange(width, dtype=np.float32) - np.float32(trail.x)
    y = (np.arange(height, dtype=np.float32) - np.float32(trail.y))[:, None]
    cosine, sine = np.float32(np.cos(trail.angle_rad)), np.float32(np.sin(trail.angle_rad))
    reach = 5 * trail.width_px
    near = np.abs(y * cosine - x * sine) < reach
    near &= np.abs(x * cosine + y * sine) < trail.length_px / 2 + reach
    rows, columns = np.nonzero(near)
    along = x[columns] * cosine + y[rows, 0] * sine
    across = y[rows, 0] * cosine - x[columns] * sine
    core = trail.width_px / (2 * np.sqrt(2 ** (1 / 2.0) - 1))
    profile = (1 + (across / core) ** 2) ** -2.0
    profile *= 2 / (np.pi * core)
    profile *= np.clip((trail.length_px / 2 - np.abs(along)) / trail.width_px + 0.5, 0, 1)
    depth, wavelength, phase = trail.tumbling
    profile *= 1 - depth * (0.5 + 0.5 * np.tanh(4 * np.sin(2 * np.pi * along / wavelength + phase)))
    image[rows, columns] += trail.counts_per_px * profile


def add_ghosts(
    image: np.ndarray,
    rng: np.random.Generator,
    stars: FrameSources,
    mag: np.ndarray,
    ghost_offset_px: tuple[float, float],
) -> None:
    """Add a halo, spider spikes and an out-of-focus reflection to each bright star.

    Parameters
    ----------
    image : float32, counts, of shape (y, x)
        Changed in place.
    rng : numpy.random.Generator
        The visit's own: dust and focus change the strengths.
    stars : FrameSources
        All stars of the frame.
    mag : (n,)
        Their magnitudes; only stars brighter than 10.5 have ghosts.
    ghost_offset_px : (x, y)
        Position of the detector's reflections minus that of their star.
    """
    ghost, halo, spikes = np.exp(rng.normal(0, 0.09, 3)) * (_GHOST_SHARE, _HALO_SHARE, _SPIKE_SHARE)
    radius_px = 26 * rng.uniform(0.95, 1.05)
    for star in np.flatnonzero(mag < _GHOST_MAG):
        x, y, flux = stars.x[star], stars.y[star], stars.flux[star]
        _add_ring(image, x + ghost_offset_px[0], y + ghost_offset_px[1], flux * ghost, radius_px)
        _add_halo(image, float(x), float(y), flux * halo, flux * spikes)


def _window(
    image: np.ndarray, x: float, y: float, half: int
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """Return the slices of an image around a position, and the x and y offsets from it; None outside the image."""
    height, width = image.shape
    first_x, end_x = max(int(x) - half, 0), min(int(x) + half + 1, width)
    first_y, end_y = max(int(y) - half, 0), min(int(y) + half + 1, height)
    if first_x >= end_x or first_y >= end_y:
        return None
    window = slice(first_y, end_y), slice(first_x, end_x)
    return window, np.arange(first_x, end_x) - x, (np.arange(first_y, end_y) - y)[:, None]


def _add_ring(image: np.ndarray, x: float, y: float, flux: float, radius: float) -> None:
    """Add a pupil image: a disc of the given flux with the shadow of the prime focus at its centre."""
    cut = _window(image, x, y, int(radius) + 8)
    if cut is None:
        return
    window, dx, dy = cut
    r = np.hypot(dx, dy)
    pupil = 0.25 * (1 - np.tanh((r - radius) / 1.5)) * (1 + np.tanh((r - 0.45 * radius) / 1.5))
    image[window] += (flux / (np.pi * radius**2 * (1 - 0.45**2)) * pupil).astype(np.float32)


def _add_halo(image: np.ndarray, x: float, y: float, halo: float, spikes: float) -> None:
    """Add a circular halo and a cross of spikes, each of the given flux."""
    cut = _window(image, x, y, _PATCH_PX)
    if cut is None:
        return
    window, dx, dy = cut
    r = np.hypot(dx, dy)
    light = halo * 1.5e-3 * (1 + (r / 10) ** 2) ** -1.5
    along = dx * np.cos(_SPIDER_RAD) + dy * np.sin(_SPIDER_RAD)
    across = dy * np.cos(_SPIDER_RAD) - dx * np.sin(_SPIDER_RAD)
    for near, far in ((across, along), (along, across)):
        light = light + spikes * 0.02 * np.exp(-((near / 1.6) ** 2) / 2) * (1 + np.abs(far) / 5) ** -1.8
    # Tapered to zero on a circle inside the patch, so that no square edge is visible.
    image[window] += (light * np.clip(1 - r / _PATCH_PX, 0, 1) ** 2).astype(np.float32)


def add_holes(image: np.ndarray, rng: np.random.Generator, depth_counts: float, rate: float) -> None:
    """Add the negative spots of a reference: dust on few exposures, badly filled masks of moving objects.

    Parameters
    ----------
    image : float32, counts, of shape (y, x)
        Changed in place.
    rng : numpy.random.Generator
    depth_counts : float
        Median depth.
    rate : float
        Mean number of holes per chip.
    """
    height, width = image.shape
    for _ in range(rng.poisson(rate)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, 4)
        cut = _window(image, x, y, 16)
        if cut is not None:
            window, dx, dy = cut
            inside = 0.5 * (1 - np.tanh((np.hypot(dx, dy) - radius) / 0.8))
            image[window] -= (depth_counts * rng.lognormal(0, 0.5) * inside).astype(np.float32)


def add_clusters(image: np.ndarray, rng: np.random.Generator, noise: float, rate: float) -> None:
    """Add clusters of bad pixels of any shape, two to eight pixels that touch, brighter or darker than the sky.

    Parameters
    ----------
    image : float32, counts, of shape (y, x)
        Changed in place.
    rng : numpy.random.Generator
    noise : float
        Standard deviation of an empty pixel, counts; a pixel departs by some ten of them.
    rate : float
        Mean number of clusters per chip.
    """
    height, width = image.shape
    for _ in range(rng.poisson(rate)):
        steps = rng.integers(-1, 2, (2, rng.integers(2, 9)))
        y, x = rng.integers(0, (height, width))[:, None] + np.cumsum(steps, axis=1)
        depth = noise * rng.lognormal(np.log(10), 0.8) * rng.choice([1, 1, 1, -1])
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        image[y[inside], x[inside]] += (depth * rng.gamma(4, 0.25, inside.sum())).astype(np.float32)


def draw_blank_strips(rng: np.random.Generator, shape: tuple[int, int], chance: float) -> np.ndarray:
    """Draw the pixels of a stack without exposures, bool of the given shape (y, x).

    They are uneven strips along the four borders and, with probability `chance`, a lost block of rows that ends at the
    right border.
    """
    blank = np.zeros(shape, bool)
    bottom, top, first, last = rng.geometric(0.3, 4) - 1
    blank[:bottom], blank[shape[0] - top :] = True, True
    blank[:, :first], blank[:, shape[1] - last :] = True, True
    if rng.random() < chance:
        start, rows = int(rng.integers(0, shape[0])), int(rng.integers(8, 40))
        edge = int(rng.integers(0, shape[1]))
        blank[start : start + rows, edge:] = True
    return blank
