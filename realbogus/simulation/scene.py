"""Populations of the simulated sky: stars, galaxies, variables, transients, asteroids and flares.

Their distributions share nothing with the injection of artificial transients. Positions are pixels of the field, the
grid of a chip without pointing error. Magnitudes are the instrument's. All arrays of one population are (n,).
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


class SourceKind(StrEnum):
    """Kind of a source that truly changed."""

    TRANSIENT = "transient"
    VARIABLE = "variable"
    ASTEROID = "asteroid"
    FLARE = "flare"


@dataclass(frozen=True)
class Extent:
    """The chip's width and height, and the margin around it that is filled with sources, pixels."""

    width: int
    height: int
    margin: int

    def draw_positions(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw uniform positions x and y in pixels, each of shape (count,), margin included."""
        x = rng.uniform(-self.margin - 0.5, self.width + self.margin - 0.5, count)
        return x, rng.uniform(-self.margin - 0.5, self.height + self.margin - 0.5, count)

    @property
    def share(self) -> float:
        """Area with its margin in units of the chip's area."""
        return (self.width + 2 * self.margin) * (self.height + 2 * self.margin) / (self.width * self.height)


@dataclass(frozen=True)
class SceneStars:
    """Stars of a field.

    Attributes
    ----------
    x, y, mag : (n,)
    colour : (n,)
        In standard deviations from the mean.
    motion_x, motion_y : (n,)
        Displacement since the reference, pixels.
    """

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    colour: np.ndarray
    motion_x: np.ndarray
    motion_y: np.ndarray


@dataclass(frozen=True)
class Galaxies:
    """Galaxies of a field.

    Attributes
    ----------
    x, y, mag, sersic_index, axis_ratio : (n,)
    radius_arcsec : (n,)
        Half-light radius along the major axis.
    angle_rad : (n,)
        Of the major axis, from +x to +y.
    nucleus : (n,)
        Fraction of the light from an unresolved centre.
    colour : (n,)
        On the scale of the stars.
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
    """Variable stars and active nuclei.

    Attributes
    ----------
    x, y, mag : (n,)
        Magnitude of the mean flux.
    amplitude_mag, period_d, phase : (n,)
        Phase in cycles, 0 to 1.
    host : (n,) int
        Index of the galaxy of a nucleus, -1 for a star.
    """

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    amplitude_mag: np.ndarray
    period_d: np.ndarray
    phase: np.ndarray
    host: np.ndarray

    def change(self, epoch_mjd: float) -> np.ndarray:
        """Return the flux at an epoch relative to that of `mag`, (n,)."""
        cycle = 2 * np.pi * (epoch_mjd / self.period_d + self.phase)
        shape = np.sin(cycle) + 0.35 * np.sin(2 * cycle + 1)
        return 10 ** (0.4 * self.amplitude_mag / 2 * shape)


@dataclass(frozen=True)
class Events:
    """Transients, flares or asteroids of one epoch.

    Attributes
    ----------
    x, y, mag : (n,)
    host : (n,) int
        Index of the host galaxy, -1 without one.
    start_night : (n,) int
    number : (n,) int
        Last part of the name.
    """

    x: np.ndarray
    y: np.ndarray
    mag: np.ndarray
    host: np.ndarray
    start_night: np.ndarray
    number: np.ndarray


def draw_stars_of_field(rng: np.random.Generator, extent: Extent, count: float) -> SceneStars:
    """Draw a Poisson number of stars, `count` on the chip on average; a few move by tenths of a pixel."""
    total = rng.poisson(count * extent.share)
    x, y = extent.draw_positions(rng, total)
    mag = _draw_magnitudes(rng, total, _STAR_SLOPE, _STAR_MAG)
    motion = np.clip(0.004 * rng.standard_t(2.0, (2, total)), -1, 1)
    return SceneStars(x, y, mag, rng.normal(0, 1, total), motion[0], motion[1])


def draw_galaxies_of_field(rng: np.random.Generator, extent: Extent, count: float) -> Galaxies:
    """Draw a Poisson number of galaxies, `count` on the chip on average."""
    total = rng.poisson(count * extent.share)
    x, y = extent.draw_positions(rng, total)
    mag = _draw_magnitudes(rng, total, _GALAXY_SLOPE, _GALAXY_MAG)
    radius = np.clip(2.0 * 10 ** (-0.12 * (mag - 19)) * rng.lognormal(0, 0.4, total), 0.4, 40)
    index = rng.choice(SERSIC_INDICES, total, p=_SERSIC_SHARES)
    ratio = np.where(index < 1.8, rng.uniform(0.15, 1, total), rng.uniform(0.5, 1, total))
    nucleus = 0.6 * rng.beta(0.8, 1.6, total)
    return Galaxies(x, y, mag, index, radius, ratio, rng.uniform(0, np.pi, total), nucleus, rng.normal(1.5, 1, total))


def draw_variables(rng: np.random.Generator, extent: Extent, galaxies: Galaxies, rate: float) -> Variables:
    """Draw variable sources, `rate` on the chip on average; one in five is the nucleus of a galaxy."""
    total = rng.poisson(rate * extent.share)
    x, y = extent.draw_positions(rng, total)
    mag = _draw_magnitudes(rng, total, _STAR_SLOPE, (12.5, 19.0))
    amplitude = 10 ** rng.uniform(-1, 0.48, total)
    period = 10 ** rng.uniform(-1, 2.5, total)
    host = np.full(total, -1)
    if len(galaxies.x):
        nuclei = rng.random(total) < 0.2
        host[nuclei] = rng.choice(len(galaxies.x), nuclei.sum(), p=_host_probabilities(galaxies.mag))
        x[nuclei], y[nuclei] = galaxies.x[host[nuclei]], galaxies.y[host[nuclei]]
        mag[nuclei] = np.maximum(galaxies.mag[host[nuclei]] + rng.uniform(0, 2, nuclei.sum()), 13)
        amplitude[nuclei] = rng.uniform(0.1, 1.0, nuclei.sum())
    return Variables(x, y, mag, amplitude, period, rng.random(total), host)


def draw_transients(
    rng: np.random.Generator, extent: Extent, galaxies: Galaxies, pixel_arcsec: float, rate: float, first_night: int
) -> Events:
    """Draw the transients that start within one block of `EVENT_NIGHTS` nights; each lasts for `EVENT_NIGHTS`.

    Parameters
    ----------
    rng : numpy.random.Generator
    extent : Extent
    galaxies : Galaxies
    pixel_arcsec : float
    rate : float
        Mean number of transients on the chip at any one time.
    first_night : int
        Of the block.

    Returns
    -------
    Events
        With peak magnitudes.
    """
    total = rng.poisson(rate * extent.share)
    x, y = extent.draw_positions(rng, total)
    host = np.full(total, -1)
    if len(galaxies.x):
        hosted = rng.random(total) < _HOSTED_SHARE
        host[hosted] = rng.choice(len(galaxies.x), hosted.sum(), p=_host_probabilities(galaxies.mag))
        offset_x, offset_y = _draw_offsets(rng, galaxies, host[hosted], pixel_arcsec)
        x[hosted] = galaxies.x[host[hosted]] + offset_x
        y[hosted] = galaxies.y[host[hosted]] + offset_y
    mag = _draw_magnitudes(rng, total, _EVENT_SLOPE, EVENT_MAG)
    start = first_night + rng.integers(0, EVENT_NIGHTS, total)
    return Events(x, y, mag, host, start, np.arange(total))


def fade_transients(events: Events, night: int) -> Events:
    """Return the transients that are visible on a night, with their magnitudes on that night."""
    age = night - events.start_night
    mag = events.mag + np.where(age < _RISE_NIGHTS, 0.5 * (_RISE_NIGHTS - age), _DECLINE_MAG * (age - _RISE_NIGHTS))
    return _select(events, (age >= 0) & (age < EVENT_NIGHTS), mag)


def draw_asteroids(rng: np.random.Generator, extent: Extent, rate: float, night: int) -> Events:
    """Draw asteroids of one visit; they do not move during its exposures."""
    total = rng.poisson(rate * extent.share)
    x, y = extent.draw_positions(rng, total)
    mag = _draw_magnitudes(rng, total, 0.3, (13.5, 19.8))
    return Events(x, y, mag, np.full(total, -1), np.full(total, night), np.arange(total))


def draw_flares(rng: np.random.Generator, extent: Extent, stars: SceneStars, rate: float, night: int) -> Events:
    """Draw flares of stars fainter than magnitude 15; the magnitude is that of the added light."""
    faint = np.flatnonzero(stars.mag > 15)
    total = rng.poisson(rate * extent.share) if len(faint) else 0
    star = rng.choice(faint, total) if total else np.zeros(0, int)
    mag = np.clip(stars.mag[star] - rng.uniform(-1, 2.5, total), 14, 20)
    return Events(stars.x[star], stars.y[star], mag, np.full(total, -1), np.full(total, night), np.arange(total))


def _select(events: Events, rows: np.ndarray, mag: np.ndarray) -> Events:
    """Return the events at rows, by flag (n,), with other magnitudes (n,)."""
    return Events(
        events.x[rows],
        events.y[rows],
        mag[rows],
        events.host[rows],
        events.start_night[rows],
        events.number[rows],
    )


def _draw_magnitudes(rng: np.random.Generator, count: int, slope: float, limits: tuple[float, float]) -> np.ndarray:
    """Draw magnitudes (count,) between two limits with counts that grow by a factor ``10**slope`` per magnitude."""
    low = 10 ** (slope * (limits[0] - limits[1]))
    return limits[1] + np.log10(rng.uniform(low, 1, count)) / slope


def _host_probabilities(mag: np.ndarray) -> np.ndarray:
    """Return each galaxy's probability to be a host, (n,): its light to the power 0.85."""
    weight = 10 ** (-0.4 * 0.85 * mag)
    return weight / weight.sum()


def _draw_offsets(
    rng: np.random.Generator, galaxies: Galaxies, host: np.ndarray, pixel_arcsec: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw offsets from hosts (n,) in x and y, pixels: an inclined exponential disc, and a share at the nucleus."""
    radius = rng.gamma(2.0, galaxies.radius_arcsec[host] / 1.678 / pixel_arcsec)
    radius[rng.random(len(host)) < _NUCLEAR_SHARE] = 0
    around = rng.uniform(0, 2 * np.pi, len(host))
    along, across = radius * np.cos(around), radius * np.sin(around) * galaxies.axis_ratio[host]
    cosine, sine = np.cos(galaxies.angle_rad[host]), np.sin(galaxies.angle_rad[host])
    return along * cosine - across * sine, along * sine + across * cosine
