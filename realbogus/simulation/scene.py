"""Populations of the simulated sky: stars, galaxies, variables and what happens there, by laws of the scene's own.

Nothing here is shared with the injection of artificial transients. Positions are in pixels of the field: the grid of
a chip that points exactly at its place. Magnitudes are the instrument's.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from realbogus.simulation.rendering import SERSIC_INDICES

_STAR_SLOPE, _STAR_MAG = 0.285, (7.0, 21.0)
_GALAXY_SLOPE, _GALAXY_MAG = 0.35, (12.0, 20.8)
_SERSIC_SHARES = (0.15, 0.3, 0.15, 0.1, 0.08, 0.07, 0.15)
EVENT_NIGHTS = 30
EVENT_MAG = (14.0, 19.5)
_EVENT_SLOPE = 0.22
_RISE_NIGHTS, _DECLINE_MAG = 2.0, 0.03
_HOSTED_SHARE, _NUCLEAR_SHARE = 0.7, 0.12


class Kind(StrEnum):
    """What a true source is."""

    TRANSIENT = "transient"
    VARIABLE = "variable"
    ASTEROID = "asteroid"
    FLARE = "flare"


@dataclass(frozen=True)
class Extent:
    """The part of a field's grid that is filled with sources, pixels."""

    width: int
    height: int
    margin: int

    def draw_places(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw uniform positions, margin included."""
        x = rng.uniform(-self.margin - 0.5, self.width + self.margin - 0.5, count)
        return x, rng.uniform(-self.margin - 0.5, self.height + self.margin - 0.5, count)

    @property
    def share(self) -> float:
        """Filled area in units of the chip's."""
        return (self.width + 2 * self.margin) * (self.height + 2 * self.margin) / (self.width * self.height)


@dataclass(frozen=True)
class SceneStars:
    """Arrays of one length: position (pixels), magnitude, colour (standard scores), shift since the reference (px)."""

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    colour: np.ndarray
    motion_x: np.ndarray
    motion_y: np.ndarray


@dataclass(frozen=True)
class Galaxies:
    """Arrays of one length; radius is the half-light one along the major axis, the angle from +x to +y.

    `nucleus` is the share of the light that comes from an unresolved centre, colour is on the stars' scale.
    """

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    sersic_index: np.ndarray
    radius_arcsec: np.ndarray
    axis_ratio: np.ndarray
    angle_rad: np.ndarray
    nucleus: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True)
class Variables:
    """Variable stars and active nuclei; `host` is the galaxy of a nucleus, -1 for a star."""

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    amplitude_mag: np.ndarray
    period_d: np.ndarray
    phase: np.ndarray
    host: np.ndarray

    def change(self, epoch_mjd: float) -> np.ndarray:
        """Return the ratio of the flux at an epoch to the mean's."""
        cycle = 2 * np.pi * (epoch_mjd / self.period_d + self.phase)
        shape = np.sin(cycle) + 0.35 * np.sin(2 * cycle + 1)
        return 10 ** (0.4 * self.amplitude_mag / 2 * shape)


@dataclass(frozen=True)
class Events:
    """Transients, flares or asteroids of one epoch; `host` is a galaxy's number or -1, `number` part of the name."""

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    host: np.ndarray
    start_night: np.ndarray
    number: np.ndarray


def draw_stars_of_field(rng: np.random.Generator, extent: Extent, count: float) -> SceneStars:
    """Draw a Poisson number of stars, `count` on the chip; most stand still, a few move by tenths of a pixel."""
    total = rng.poisson(count * extent.share)
    x, y = extent.draw_places(rng, total)
    mag = _draw_magnitudes(rng, total, _STAR_SLOPE, _STAR_MAG)
    motion = np.clip(0.004 * rng.standard_t(2.0, (2, total)), -1, 1)
    return SceneStars(x, y, mag, rng.normal(0, 1, total), motion[0], motion[1])


def draw_galaxies_of_field(rng: np.random.Generator, extent: Extent, count: float) -> Galaxies:
    """Draw a Poisson number of galaxies, `count` on the chip."""
    total = rng.poisson(count * extent.share)
    x, y = extent.draw_places(rng, total)
    mag = _draw_magnitudes(rng, total, _GALAXY_SLOPE, _GALAXY_MAG)
    radius = np.clip(2.0 * 10 ** (-0.12 * (mag - 19)) * rng.lognormal(0, 0.4, total), 0.4, 40)
    index = rng.choice(SERSIC_INDICES, total, p=_SERSIC_SHARES)
    ratio = np.where(index < 1.8, rng.uniform(0.15, 1, total), rng.uniform(0.5, 1, total))
    nucleus = 0.6 * rng.beta(0.8, 1.6, total)
    return Galaxies(x, y, mag, index, radius, ratio, rng.uniform(0, np.pi, total), nucleus, rng.normal(1.5, 1, total))


def draw_variables(rng: np.random.Generator, extent: Extent, galaxies: Galaxies, rate: float) -> Variables:
    """Draw variable sources, `rate` on the chip on average: four of five are stars, the others nuclei of galaxies."""
    total = rng.poisson(rate * extent.share)
    x, y = extent.draw_places(rng, total)
    mag = _draw_magnitudes(rng, total, _STAR_SLOPE, (12.5, 19.0))
    amplitude = 10 ** rng.uniform(-1, 0.48, total)
    period = 10 ** rng.uniform(-1, 2.5, total)
    host = np.full(total, -1)
    if len(galaxies.x):
        nuclei = rng.random(total) < 0.2
        host[nuclei] = rng.choice(len(galaxies.x), nuclei.sum(), p=_share_light(galaxies.mag))
        x[nuclei], y[nuclei] = galaxies.x[host[nuclei]], galaxies.y[host[nuclei]]
        mag[nuclei] = np.maximum(galaxies.mag[host[nuclei]] + rng.uniform(0, 2, nuclei.sum()), 13)
        amplitude[nuclei] = rng.uniform(0.1, 1.0, nuclei.sum())
    return Variables(x, y, mag, amplitude, period, rng.random(total), host)


def draw_transients(
    rng: np.random.Generator, extent: Extent, galaxies: Galaxies, pixel_arcsec: float, rate: float, first_night: int
) -> Events:
    """Draw the transients that start within one block of nights; each is seen for as many nights.

    Parameters
    ----------
    rng : numpy.random.Generator
    extent : Extent
    galaxies : Galaxies
    pixel_arcsec : float
    rate : float
        Transients on the chip at any one time.
    first_night : int
        Of the block of `EVENT_NIGHTS`.

    Returns
    -------
    Events
        Magnitudes are those of the peak.
    """
    total = rng.poisson(rate * extent.share)
    x, y = extent.draw_places(rng, total)
    host = np.full(total, -1)
    if len(galaxies.x):
        hosted = rng.random(total) < _HOSTED_SHARE
        host[hosted] = rng.choice(len(galaxies.x), hosted.sum(), p=_share_light(galaxies.mag))
        away_x, away_y = _draw_offsets(rng, galaxies, host[hosted], pixel_arcsec)
        x[hosted] = galaxies.x[host[hosted]] + away_x
        y[hosted] = galaxies.y[host[hosted]] + away_y
    mag = _draw_magnitudes(rng, total, _EVENT_SLOPE, EVENT_MAG)
    start = first_night + rng.integers(0, EVENT_NIGHTS, total)
    return Events(x, y, mag, host, start, np.arange(total))


def fade_transients(events: Events, night: int) -> Events:
    """Return the transients that shine on a night, with the magnitude of that night."""
    age = night - events.start_night
    mag = events.mag + np.where(age < _RISE_NIGHTS, 0.5 * (_RISE_NIGHTS - age), _DECLINE_MAG * (age - _RISE_NIGHTS))
    return _select(events, (age >= 0) & (age < EVENT_NIGHTS), mag)


def draw_asteroids(rng: np.random.Generator, extent: Extent, rate: float, night: int) -> Events:
    """Draw asteroids: in a few seconds they stand still, on another visit they are elsewhere."""
    total = rng.poisson(rate * extent.share)
    x, y = extent.draw_places(rng, total)
    mag = _draw_magnitudes(rng, total, 0.3, (13.5, 19.8))
    return Events(x, y, mag, np.full(total, -1), np.full(total, night), np.arange(total))


def draw_flares(rng: np.random.Generator, extent: Extent, stars: SceneStars, rate: float, night: int) -> Events:
    """Draw flares of faint stars; the magnitude is that of the added light."""
    able = np.flatnonzero(stars.mag > 15)
    total = rng.poisson(rate * extent.share) if len(able) else 0
    chosen = rng.choice(able, total) if total else np.zeros(0, int)
    mag = np.clip(stars.mag[chosen] - rng.uniform(-1, 2.5, total), 14, 20)
    return Events(stars.x[chosen], stars.y[chosen], mag, np.full(total, -1), np.full(total, night), np.arange(total))


def _select(events: Events, chosen: np.ndarray, mag: np.ndarray) -> Events:
    return Events(
        events.x[chosen],
        events.y[chosen],
        mag[chosen],
        events.host[chosen],
        events.start_night[chosen],
        events.number[chosen],
    )


def _draw_magnitudes(rng: np.random.Generator, count: int, slope: float, limits: tuple[float, float]) -> np.ndarray:
    """Draw magnitudes whose counts grow by ``10**slope`` a magnitude between two limits."""
    low = 10 ** (slope * (limits[0] - limits[1]))
    return limits[1] + np.log10(rng.uniform(low, 1, count)) / slope


def _share_light(mag: np.ndarray) -> np.ndarray:
    """Return each galaxy's chance to be a host: less than in proportion to its light, as large galaxies are quiet."""
    weight = 10 ** (-0.4 * 0.85 * mag)
    return weight / weight.sum()


def _draw_offsets(
    rng: np.random.Generator, galaxies: Galaxies, host: np.ndarray, pixel_arcsec: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw separations from hosts in pixels: an exponential disc's ellipse, and a share in the very nucleus."""
    radius = rng.gamma(2.0, galaxies.radius_arcsec[host] / 1.678 / pixel_arcsec)
    radius[rng.random(len(host)) < _NUCLEAR_SHARE] = 0
    around = rng.uniform(0, 2 * np.pi, len(host))
    along, across = radius * np.cos(around), radius * np.sin(around) * galaxies.axis_ratio[host]
    cosine, sine = np.cos(galaxies.angle_rad[host]), np.sin(galaxies.angle_rad[host])
    return along * cosine - across * sine, along * sine + across * cosine
