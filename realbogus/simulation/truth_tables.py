"""Tables of a simulated visit: the sources that truly changed, a galaxy catalogue, and known objects."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from realbogus.simulation.scene import Galaxies, SourceKind
from realbogus.simulation.sky import FieldScene
from realbogus.simulation.survey_settings import SurveySettings

_COMPLETE_MAG, _FADING_MAG = 19.6, 0.4
_LISTED = {SourceKind.TRANSIENT: (18.6, 0.8), SourceKind.ASTEROID: (19.0, 0.95), SourceKind.VARIABLE: (17.5, 0.8)}
_TYPES = {SourceKind.TRANSIENT: "SN", SourceKind.ASTEROID: "asteroid", SourceKind.VARIABLE: "variable"}
_LISTED_ARCSEC = 0.3


@dataclass(frozen=True)
class DrawnSource:
    """One changing source as drawn into a frame: position in pixels, flux in counts, index of its host or -1."""

    name: str
    kind: SourceKind
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
        The same on every visit.
    kind : SourceKind
    x, y : float
        Position of its light in the new frame, pixels, including the error of registration.
    ra_deg, dec_deg : float
        True position.
    mag : float
        Magnitude of the change of flux since the reference.
    flux_counts : float
        Change of flux in counts of the new frame, vignetting included; negative for a variable that has faded.
    host_separation_arcsec, host_separation_radii : float
        From its host's centre, in arcsec and in the host's half-light radii (major axis); NaN without a host.
    """

    name: str
    kind: SourceKind
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
    """A survey's galaxy catalogue.

    Attributes
    ----------
    x, y : (n,)
        In the new frame by its WCS, pixels.
    ra_deg, dec_deg, mag : (n,)
    radius_arcsec : (n,)
        Half-light radius along the major axis.
    axis_ratio : (n,)
    position_angle_deg : (n,)
        Of the major axis, from north to east.
    angle_rad : (n,)
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
    """A row of a table of known objects: name, position (at its date if it moves), date of discovery, type."""

    name: str
    ra_deg: float
    dec_deg: float
    discovery_mjd: float
    type: str


def list_true_sources(sky: FieldScene, sources: list[DrawnSource], settings: SurveySettings) -> tuple[TrueSource, ...]:
    """Return the changing sources whose light falls on the new frame."""
    height, width = settings.shape
    inside = [s for s in sources if -0.5 <= s.x < width - 0.5 and -0.5 <= s.y < height - 0.5]
    field_positions = {name: (x, y) for name, _, x, y, _, _ in _list_sources(sky)}
    rows = []
    for source in inside:
        x, y = field_positions[source.name]
        separation_arcsec, radii = _measure_separation(sky.galaxies, source.host, x, y, settings.pixel_arcsec)
        drawn = source.name, source.kind, source.x, source.y
        brightness = source.mag, source.flux_counts
        rows.append(TrueSource(*drawn, *_to_sky(sky.wcs, x, y), *brightness, separation_arcsec, radii))
    return tuple(rows)


def catalogue_galaxies(
    sky: FieldScene, shift_px: tuple[float, float], settings: SurveySettings, rng: np.random.Generator
) -> SurveyGalaxies:
    """Return the catalogue of galaxies in a frame; completeness and errors are the same on every visit of a field."""
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


def list_known_objects(sky: FieldScene, settings: SurveySettings, rng: np.random.Generator) -> tuple[KnownObject, ...]:
    """Return the changing sources of a cell that other surveys list, with errors of their positions."""
    rows = []
    seed = int(rng.integers(2**62))
    for name, kind, x, y, mag, start_mjd in _list_sources(sky):
        # Seeded by the name: an object is listed on all visits or on none, whatever else is in the field.
        object_rng = np.random.default_rng([seed, *name.encode()])
        limit, share = _LISTED.get(kind, (-np.inf, 0.0))
        if object_rng.random() < share / (1 + np.exp(np.clip((mag - limit) / 0.25, -50, 50))):
            error_px = object_rng.normal(0, _LISTED_ARCSEC, 2) / settings.pixel_arcsec
            ra, dec = _to_sky(sky.wcs, *(np.array([x, y]) + error_px))
            rows.append(KnownObject(name, ra, dec, start_mjd, _TYPES[kind]))
    return tuple(rows)


def name_variable(sky: FieldScene, number: int) -> str:
    """Return the name of a variable of a cell."""
    return f"V{sky.name}-{number}"


def _list_sources(sky: FieldScene) -> list[tuple[str, SourceKind, float, float, float, float]]:
    """Return name, kind, position in the field, magnitude and date of every changing source."""
    rows = []
    for group in sky.event_groups:
        events = group.events
        for i, number in enumerate(events.number):
            date = sky.epoch_mjd
            if group.kind is SourceKind.TRANSIENT:
                date = np.floor(sky.epoch_mjd) + 0.25 - float(sky.night - events.start_night[i])
            name = f"{group.prefix}-{number}"
            rows.append((name, group.kind, float(events.x[i]), float(events.y[i]), float(events.mag[i]), float(date)))
    for i in range(len(sky.variables.x)):
        x, y, mag = (float(v[i]) for v in (sky.variables.x, sky.variables.y, sky.variables.mag))
        rows.append((name_variable(sky, i), SourceKind.VARIABLE, x, y, mag, 50000.0))
    return rows


def _to_sky(wcs: WCS, x: float, y: float) -> tuple[float, float]:
    """Return right ascension and declination of a pixel position, degrees."""
    ra, dec = wcs.all_pix2world([x], [y], 0)
    return float(ra[0]), float(dec[0])


def _measure_separation(galaxies: Galaxies, host: int, x: float, y: float, pixel_arcsec: float) -> tuple[float, float]:
    """Return the separation from a host in arcsec and in half-light radii; NaN without a host (-1)."""
    if host < 0:
        return float("nan"), float("nan")
    separation_arcsec = float(np.hypot(x - galaxies.x[host], y - galaxies.y[host])) * pixel_arcsec
    return separation_arcsec, separation_arcsec / float(galaxies.radius_arcsec[host])
