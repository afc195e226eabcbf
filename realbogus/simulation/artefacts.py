"""What is not of the sky: particle hits, satellite trails, ghosts and spikes of bright stars, faults of a reference.

All are added as light (counts) to images of their own origin, (y, x) float32.
"""

import numpy as np

_PARTICLES_PER_PX_S = 1.2 / 9 / (2000 * 1128)
_PARTICLE_E = (650.0, 0.8)  # median and scatter (ln) of a track's charge in one pixel
_GHOST_MAG = 10.5
_GHOST_SHARE, _HALO_SHARE, _SPIKE_SHARE = 5e-3, 6e-3, 4e-3
_PATCH_PX = 120
_SPIDER_RAD = np.pi / 4
_REFERENCE_PARTICLES = 0.05  # share of tracks that the combination of exposures leaves in


def add_particles(image: np.ndarray, rng: np.random.Generator, seconds: float, gain: float, rate: float) -> None:
    """Add straight tracks of charged particles in a thin layer: one to a dozen pixels, sharp, in one exposure each.

    Parameters
    ----------
    image : ndarray, (y, x) float32, counts
    rng : numpy.random.Generator
    seconds : float
        Exposure in all.
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
    """Add the tracks that a combination of exposures leaves in; parameters as in `add_particles`."""
    add_particles(image, rng, seconds * _REFERENCE_PARTICLES, gain, rate)


def add_trails(
    image: np.ndarray, rng: np.random.Generator, exposure_s: float, counts_of_mag: float, width_px: float, rate: float
) -> None:
    """Add satellites that cross during one exposure; some tumble, which breaks the trail into dashes.

    Parameters
    ----------
    image : ndarray, (y, x) float32, counts
    rng : numpy.random.Generator
    exposure_s : float
        Of the one exposure.
    counts_of_mag : float
        Counts of a source of magnitude 0 in one exposure.
    width_px : float
        FWHM across the trail.
    rate : float
        Trails a chip-visit.
    """
    height, width = image.shape
    for _ in range(rng.poisson(rate)):
        length = 10 ** rng.uniform(2.2, 3.2) * exposure_s / 0.5
        counts = counts_of_mag * 10 ** (-0.4 * rng.uniform(9, 12.5)) / length
        middle_x, middle_y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
        _add_line(image, (middle_x, middle_y), angle, length, counts, width_px, _draw_tumbling(rng))


def _draw_tumbling(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw depth (0 for a steady light), wavelength in pixels and phase of a trail's brightness."""
    depth = rng.uniform(0.5, 1) if rng.random() < 0.4 else 0.0
    return depth, 10 ** rng.uniform(1.3, 2.3), rng.uniform(0, 2 * np.pi)


def _add_line(
    image: np.ndarray,
    middle: tuple[float, float],
    angle: float,
    length: float,
    counts_per_px: float,
    width_px: float,
    tumbling: tuple[float, float, float],
) -> None:
    height, width = image.shape
    x = np.arange(width, dtype=np.float32) - np.float32(middle[0])
    y = (np.arange(height, dtype=np.float32) - np.float32(middle[1]))[:, None]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    reach = 5 * width_px
    near = np.abs(y * cosine - x * sine) < reach
    near &= np.abs(x * cosine + y * sine) < length / 2 + reach
    rows, columns = np.nonzero(near)
    along = x[columns] * cosine + y[rows, 0] * sine
    across = y[rows, 0] * cosine - x[columns] * sine
    core = width_px / (2 * np.sqrt(2 ** (1 / 2.0) - 1))
    profile = (1 + (across / core) ** 2) ** -2.0
    profile *= 2 / (np.pi * core)
    profile *= np.clip((length / 2 - np.abs(along)) / width_px + 0.5, 0, 1)
    depth, wavelength, phase = tumbling
    profile *= 1 - depth * (0.5 + 0.5 * np.tanh(4 * np.sin(2 * np.pi * along / wavelength + phase)))
    image[rows, columns] += counts_per_px * profile


def add_ghosts(
    image: np.ndarray,
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    mag: np.ndarray,
    flux: np.ndarray,
    ghost_away_px: tuple[float, float],
) -> None:
    """Add halo, spider spikes and an out-of-focus reflection to each bright star.

    Parameters
    ----------
    image : ndarray, (y, x) float32, counts
    rng : numpy.random.Generator
        The visit's: dust and focus change how strong each is.
    x, y, mag, flux : ndarray, (n,)
        All stars; those fainter than magnitude 10.5 are left as they are.
    ghost_away_px : (x, y)
        Where the detector's reflections lie from their star.
    """
    strength = np.exp(rng.normal(0, 0.09, 3)) * (_GHOST_SHARE, _HALO_SHARE, _SPIKE_SHARE)
    grow = rng.uniform(0.95, 1.05)
    for star in np.flatnonzero(mag < _GHOST_MAG):
        place_x, place_y = x[star] + ghost_away_px[0], y[star] + ghost_away_px[1]
        _add_ring(image, place_x, place_y, flux[star] * strength[0], 26 * grow)
        _add_halo(image, float(x[star]), float(y[star]), flux[star] * strength[1], flux[star] * strength[2])


def _window(
    image: np.ndarray, x: float, y: float, half: int
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """Return the part of an image around a position and its offsets from there, or None outside."""
    height, width = image.shape
    left, right = max(int(x) - half, 0), min(int(x) + half + 1, width)
    low, high = max(int(y) - half, 0), min(int(y) + half + 1, height)
    if left >= right or low >= high:
        return None
    return (slice(low, high), slice(left, right)), np.arange(left, right) - x, (np.arange(low, high) - y)[:, None]


def _add_ring(image: np.ndarray, x: float, y: float, flux: float, radius: float) -> None:
    """Add a pupil image: a disc with the shadow of the prime focus in its middle."""
    window = _window(image, x, y, int(radius) + 8)
    if window is None:
        return
    where, dx, dy = window
    r = np.hypot(dx, dy)
    pupil = 0.25 * (1 - np.tanh((r - radius) / 1.5)) * (1 + np.tanh((r - 0.45 * radius) / 1.5))
    image[where] += (flux / (np.pi * radius**2 * (1 - 0.45**2)) * pupil).astype(np.float32)


def _add_halo(image: np.ndarray, x: float, y: float, halo: float, spikes: float) -> None:
    window = _window(image, x, y, _PATCH_PX)
    if window is None:
        return
    where, dx, dy = window
    r = np.hypot(dx, dy)
    light = halo * 1.5e-3 * (1 + (r / 10) ** 2) ** -1.5
    along = dx * np.cos(_SPIDER_RAD) + dy * np.sin(_SPIDER_RAD)
    across = dy * np.cos(_SPIDER_RAD) - dx * np.sin(_SPIDER_RAD)
    for near, far in ((across, along), (along, across)):
        light = light + spikes * 0.02 * np.exp(-((near / 1.6) ** 2) / 2) * (1 + np.abs(far) / 5) ** -1.8
    # The patch's border is a circle on which the light has gone to zero, so that no square shows.
    image[where] += (light * np.clip(1 - r / _PATCH_PX, 0, 1) ** 2).astype(np.float32)


def add_holes(image: np.ndarray, rng: np.random.Generator, depth_counts: float, rate: float) -> None:
    """Add negative spots of a reference: dust on few exposures, masks of moving objects filled badly.

    Parameters
    ----------
    image : ndarray, (y, x) float32, counts
    rng : numpy.random.Generator
    depth_counts : float
        Typical depth.
    rate : float
        Holes a chip.
    """
    height, width = image.shape
    for _ in range(rng.poisson(rate)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, 4)
        window = _window(image, x, y, 16)
        if window is not None:
            where, dx, dy = window
            inside = 0.5 * (1 - np.tanh((np.hypot(dx, dy) - radius) / 0.8))
            image[where] -= (depth_counts * rng.lognormal(0, 0.5) * inside).astype(np.float32)


def draw_blank_strips(rng: np.random.Generator, shape: tuple[int, int], chance: float) -> np.ndarray:
    """Draw where a reference has no exposures: uneven strips at its borders and, by a chance, a lost block of rows."""
    blank = np.zeros(shape, bool)
    low, high, left, right = rng.geometric(0.3, 4) - 1
    blank[:low], blank[shape[0] - high :] = True, True
    blank[:, :left], blank[:, shape[1] - right :] = True, True
    if rng.random() < chance:
        start, rows = int(rng.integers(0, shape[0])), int(rng.integers(8, 40))
        edge = int(rng.integers(0, shape[1]))
        blank[start : start + rows, edge:] = True
    return blank
