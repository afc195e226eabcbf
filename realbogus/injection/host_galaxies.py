"""Host galaxies of injections, from a catalogue or from the simulated survey."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.coordinates import angular_separation
from astropy.io.registry import IORegistryError
from astropy.table import Table
from astropy.wcs import WCS

from realbogus.injection.inject import Hosts
from realbogus.records import SourceError
from realbogus.simulation.truth_tables import SurveyGalaxies

DEFAULT_RADIUS_ARCSEC = 2.0
_NAMES = {
    "ra_deg": ("ra_deg", "ra", "raj2000"),
    "dec_deg": ("dec_deg", "dec", "dej2000"),
    "mag": ("mag", "r_mag", "rmag", "mag_auto"),
    "radius_arcsec": ("radius_arcsec", "re_arcsec", "r_eff", "petror50_r"),
    "axis_ratio": ("axis_ratio", "q", "b_a"),
    "position_angle_deg": ("position_angle_deg", "pa", "pa_deg"),
}
_POSSIBLE = {  # above, up to: catalogues write -99, 99 or -999 for a missing value
    "ra_deg": (-360.0, 720.0),
    "dec_deg": (-90.0, 90.0),
    "mag": (0.0, 40.0),
    "radius_arcsec": (0.0, 3600.0),
    "axis_ratio": (0.0, 1.0),
    "position_angle_deg": (-360.0, 360.0),
}
_DEFAULTS = {"radius_arcsec": DEFAULT_RADIUS_ARCSEC, "axis_ratio": 1.0, "position_angle_deg": 0.0}


@dataclass(frozen=True)
class GalaxyTable:
    """Galaxies on the sky; all arrays are (n,).

    Attributes
    ----------
    ra_deg, dec_deg, mag : ndarray
    radius_arcsec : ndarray
        Effective radius along the major axis.
    axis_ratio : ndarray
    position_angle_deg : ndarray
        Of the major axis, from north to east.
    """

    ra_deg: np.ndarray
    dec_deg: np.ndarray
    mag: np.ndarray
    radius_arcsec: np.ndarray
    axis_ratio: np.ndarray
    position_angle_deg: np.ndarray

    def on_frame(self, wcs: WCS, shape: tuple[int, int]) -> Hosts:
        """Return the galaxies centred within a frame of this shape and WCS."""
        # far from the frame a projection's inverse is not unique
        near = _separation_deg(self.ra_deg, self.dec_deg, *_centre_deg(wcs, shape)) < _reach_deg(wcs, shape)
        ra, dec = self.ra_deg[near], self.dec_deg[near]
        if len(ra) == 0:
            return no_hosts()
        x, y = wcs.all_world2pix(ra, dec, 0, quiet=True)  # beyond the frame a distortion's inverse may fail
        angle = np.radians(self.position_angle_deg[near])
        step_deg = 1 / 3600
        step_x, step_y = wcs.all_world2pix(
            ra + step_deg * np.sin(angle) / np.cos(np.radians(dec)), dec + step_deg * np.cos(angle), 0, quiet=True
        )
        mag = self.mag[near]
        hosts = Hosts(
            x=x,
            y=y,
            flux=10 ** (-0.4 * (mag - mag.min())),
            radius_arcsec=self.radius_arcsec[near],
            axis_ratio=self.axis_ratio[near],
            angle_rad=np.arctan2(step_y - y, step_x - x),
            mag=mag,
        )
        inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
        return Hosts(*(getattr(hosts, name)[inside] for name in Hosts.__dataclass_fields__))


def hosts_of(galaxies: SurveyGalaxies) -> Hosts:
    """Return a simulated survey's galaxies as hosts."""
    return Hosts(
        x=galaxies.x,
        y=galaxies.y,
        flux=10 ** (-0.4 * galaxies.mag),
        radius_arcsec=galaxies.radius_arcsec,
        axis_ratio=galaxies.axis_ratio,
        angle_rad=galaxies.angle_rad,
        mag=galaxies.mag,
    )


def no_hosts() -> Hosts:
    """Return an empty list of hosts."""
    return Hosts(*(np.zeros(0) for _ in Hosts.__dataclass_fields__))


def read_galaxies(path: Path) -> GalaxyTable:
    """Read a table of galaxies in any format that astropy reads (CSV, FITS, VOTable, Parquet, ECSV).

    Columns: ``ra_deg, dec_deg, mag``, and optionally ``radius_arcsec`` (default 2 arcsec), ``axis_ratio`` (default 1)
    and ``position_angle_deg`` (default 0); usual synonyms are accepted. Rows without position or magnitude are left
    out; impossible values, such as -99, count as missing.

    Raises
    ------
    SourceError
        The table cannot be read, lacks a column, or has no usable row.
    """
    if not path.is_file():
        raise SourceError(f"galaxy_catalog={path} does not exist")
    table = _read_table(path)
    columns = {name: _read_column(path, table, name) for name in _NAMES}
    for name, default in _DEFAULTS.items():
        columns[name] = np.where(np.isnan(columns[name]), default, columns[name])
    usable = np.all([np.isfinite(values) for values in columns.values()], axis=0)
    if not usable.any():
        raise SourceError(f"galaxy_catalog={path} has no row with a position and a magnitude")
    return GalaxyTable(**{name: values[usable] for name, values in columns.items()})


def _read_table(path: Path) -> Table:
    try:
        return Table.read(path)
    except (OSError, ValueError, TypeError, KeyError, IORegistryError) as error:
        reason = str(error).splitlines()[0]  # the other lines list every format
        raise SourceError(f"galaxy_catalog={path} cannot be read: {reason}") from error


def _read_column(path: Path, table: Table, quantity: str) -> np.ndarray:
    """Return a column, (n,) float64: NaN where a value is missing or impossible, or the whole optional column is."""
    by_lower_name = {name.lower(): name for name in table.colnames}
    present = next((by_lower_name[name] for name in _NAMES[quantity] if name in by_lower_name), None)
    if present is None:
        if quantity in _DEFAULTS:
            return np.full(len(table), np.nan)
        raise SourceError(
            f"galaxy_catalog={path} has no column {quantity} ({', '.join(_NAMES[quantity])}); "
            f"it has {', '.join(table.colnames)}"
        )
    try:
        values = np.ma.filled(np.ma.asarray(table[present]).astype(float), np.nan)
    except (ValueError, TypeError) as error:
        raise SourceError(f"galaxy_catalog={path}: column {present} is not numeric: {error}") from error
    low, high = _POSSIBLE[quantity]
    values = np.asarray(values, float)
    return np.where((values > low) & (values <= high), values, np.nan)


def _separation_deg(ra_deg: np.ndarray, dec_deg: np.ndarray, ra_0_deg: float, dec_0_deg: float) -> np.ndarray:
    """Return the separations of n positions from one, (n,) degrees."""
    ra, dec, ra_0, dec_0 = (np.radians(angle) for angle in (ra_deg, dec_deg, ra_0_deg, dec_0_deg))
    return np.asarray(np.degrees(angular_separation(ra, dec, ra_0, dec_0)))


def _reach_deg(wcs: WCS, shape: tuple[int, int]) -> float:
    """Return the separation of a frame's centre from its farthest corner, degrees."""
    ra_deg, dec_deg = wcs.calc_footprint(axes=(shape[1], shape[0]), center=False).T
    return float(_separation_deg(ra_deg, dec_deg, *_centre_deg(wcs, shape)).max())


def _centre_deg(wcs: WCS, shape: tuple[int, int]) -> tuple[float, float]:
    """Return right ascension and declination of a frame's centre."""
    ra_deg, dec_deg = wcs.all_pix2world((shape[1] - 1) / 2, (shape[0] - 1) / 2, 0)
    return float(ra_deg), float(dec_deg)
