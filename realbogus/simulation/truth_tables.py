"""Tables about a simulated visit: what truly changed, what a pipeline knows of galaxies, what other surveys list."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from realbogus.simulation.scene import Galaxies, Kind
from realbogus.simulation.sky import FieldScene
from realbogus.simulation.survey_settings import SurveySettings

_COMPLETE_MAG, _FADING_MAG = 19.6, 0.4
_LISTED = {Kind.TRANSIENT: (18.6, 0.8), Kind.ASTEROID: (19.0, 0.95), Kind.VARIABLE: (17.5, 0.8)}
_TYPES = {Kind.TRANSIENT: "SN", Kind.ASTEROID: "asteroid", Kind.VARIABLE: "variable"}
_LISTED_ARCSEC = 0.3


@dataclass(frozen=True)
class Source:
    """One changing source as it was drawn into a frame: position in pixels, flux in counts of the frame."""

    name: str
    kind: Kind
    x: float
    y: float
    mag: float
    flux_counts: float
    host: int


@dataclass(frozen=True)
class TrueSource:
    """A source that truly changed.

    Attributes
    ----------
    name : str
        The same on every visit that sees it.
    kind : Kind
    x, y : float
        Where its light falls in the new frame, pixels; the error of astrometry included.
    ra_deg, dec_deg : float
        Where it is.
    mag : float
        Of the light drawn in the new frame above the reference's; for a variable of the change's size.
    flux_counts : float
        Change of the flux in counts of the new frame, vignetting included; negative where a variable has faded.
    host_separation_arcsec, host_separation_radii : float
        From its host's centre, also in the host's half-light radii (major axis); NaN without a host.
    """

    name: str
    kind: Kind
    x: float
    y: float
    ra_deg: float
    dec_deg: float
    mag: float
    flux_counts: float
    host_separation_arcsec: float
    host_separation_radii: float


@dataclass(frozen=True)
class SurveyGalaxies:
    """Galaxies as a survey's catalogue has them, arrays of one length.

    Attributes
    ----------
    x, y : ndarray
        In the new frame by its WCS, pixels.
    ra_deg, dec_deg, mag : ndarray
    radius_arcsec : ndarray
        Half-light radius along the major axis.
    axis_ratio : ndarray
    position_angle_deg : ndarray
        Of the major axis, from north to east.
    angle_rad : ndarray
        The same in the frame, from +x to +y.
    """

    x: np.ndarray
    y: np.ndarray
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    mag: np.ndarray
    radius_arcsec: np.ndarray
    axis_ratio: np.ndarray
    position_angle_deg: np.ndarray
    angle_rad: np.ndarray


@dataclass(frozen=True)
class KnownObject:
    """A row of a table of known objects: name, position (of its date if it moves), date of discovery, type."""

    name: str
    ra_deg: float
    dec_deg: float
    discovery_mjd: float
    type: str


def list_truth(sky: FieldScene, sources: list[Source], settings: SurveySettings) -> tuple[TrueSource, ...]:
    """Return the truth table: sources whose light falls on the new frame."""
    height, width = settings.shape
    inside = [s for s in sources if -0.5 <= s.x < width - 0.5 and -0.5 <= s.y < height - 0.5]
    rows = []
    places = _find_places(sky)
    for source in inside:
        x, y = places[source.name]
        ra, dec = _find_sky(sky.wcs, x, y)
        away, radii = _measure_separation(sky.galaxies, source.host, x, y, settings.pixel_arcsec)
        rows.append(
            TrueSource(
                source.name, source.kind, source.x, source.y, ra, dec, source.mag, source.flux_counts, away, radii
            )
        )
    return tuple(rows)


def catalogue_galaxies(
    sky: FieldScene, shift_px: tuple[float, float], settings: SurveySettings, rng: np.random.Generator
) -> SurveyGalaxies:
    """Return the catalogue of galaxies in a frame, the same errors on every visit of a field."""
    galaxies, count = sky.galaxies, len(sky.galaxies.x)
    chance = 1 / (1 + np.exp((galaxies.mag - _COMPLETE_MAG) / (_FADING_MAG / 2)))
    listed = rng.random(count) < chance
    error = 0.06 + 0.15 * 10 ** (0.2 * (galaxies.mag - 20))
    x, y = galaxies.x + error * rng.normal(size=count), galaxies.y + error * rng.normal(size=count)
    mag = galaxies.mag + error * 0.5 * rng.normal(size=count)
    radius = galaxies.radius_arcsec * np.exp(error * rng.normal(size=count))
    ratio = np.clip(galaxies.axis_ratio + 0.3 * error * rng.normal(size=count), 0.1, 1)
    angle = galaxies.angle_rad + 0.5 * error * rng.normal(size=count)
    ra, dec = sky.wcs.all_pix2world(x, y, 0) if count else (np.zeros(0), np.zeros(0))
    x, y = x + shift_px[0], y + shift_px[1]
    listed &= (x > -0.5) & (x < settings.width_px - 0.5) & (y > -0.5) & (y < settings.height_px - 0.5)
    # x runs west, y north: from +x to +y is from west over north.
    north_angle = np.degrees(angle) - 90
    columns = (x, y, ra, dec, mag, radius, ratio, north_angle % 180, angle % np.pi)
    return SurveyGalaxies(*(column[listed] for column in columns))


def list_known(sky: FieldScene, settings: SurveySettings, rng: np.random.Generator) -> tuple[KnownObject, ...]:
    """Return what other surveys list of a cell's changing sources."""
    rows = []
    seed = int(rng.integers(2**62))
    for name, kind, x, y, mag, start_mjd in _list_sources(sky):
        # Each object is listed or not on every visit alike, whatever else is in the field.
        own = np.random.default_rng([seed, *name.encode()])
        limit, share = _LISTED.get(kind, (-np.inf, 0.0))
        if own.random() < share / (1 + np.exp(np.clip((mag - limit) / 0.25, -50, 50))):
            ra, dec = _find_sky(sky.wcs, *(np.array([x, y]) + own.normal(0, _LISTED_ARCSEC, 2) / settings.pixel_arcsec))
            rows.append(KnownObject(name, ra, dec, start_mjd, _TYPES[kind]))
    return tuple(rows)


def name_variable(sky: FieldScene, number: int) -> str:
    """Return the name of a variable of a cell."""
    return f"V{sky.name}-{number}"


def _list_sources(sky: FieldScene) -> list[tuple[str, Kind, float, float, float, float]]:
    """Return name, kind, position in the field, magnitude and date of every changing source."""
    rows = []
    for happening in sky.happenings:
        events = happening.events
        for i, number in enumerate(events.number):
            moving = happening.kind is not Kind.TRANSIENT
            date = (
                sky.epoch_mjd if moving else np.floor(sky.epoch_mjd) + 0.25 - float(sky.night - events.start_night[i])
            )
            name = f"{happening.prefix}-{number}"
            rows.append(
                (name, happening.kind, float(events.x[i]), float(events.y[i]), float(events.mag[i]), float(date))
            )
    for i in range(len(sky.variables.x)):
        x, y, mag = (float(v[i]) for v in (sky.variables.x, sky.variables.y, sky.variables.mag))
        rows.append((name_variable(sky, i), Kind.VARIABLE, x, y, mag, 50000.0))
    return rows


def _find_places(sky: FieldScene) -> dict[str, tuple[float, float]]:
    return {name: (x, y) for name, _, x, y, _, _ in _list_sources(sky)}


def _find_sky(wcs: WCS, x: float, y: float) -> tuple[float, float]:
    ra, dec = wcs.all_pix2world([x], [y], 0)
    return float(ra[0]), float(dec[0])


def _measure_separation(galaxies: Galaxies, host: int, x: float, y: float, pixel_arcsec: float) -> tuple[float, float]:
    if host < 0:
        return float("nan"), float("nan")
    away = float(np.hypot(x - galaxies.x[host], y - galaxies.y[host])) * pixel_arcsec
    return away, away / float(galaxies.radius_arcsec[host])
