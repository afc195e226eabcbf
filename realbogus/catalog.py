"""A table of galaxies that injections may be laid on, as a survey has it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS

from realbogus.injection import Hosts
from realbogus.records import SourceError

DEFAULT_RADIUS_ARCSEC = 2.0
_NAMES = {
    "ra_deg": ("ra_deg", "ra", "raj2000"),
    "dec_deg": ("dec_deg", "dec", "dej2000"),
    "mag": ("mag", "r_mag", "rmag", "mag_auto"),
    "radius_arcsec": ("radius_arcsec", "re_arcsec", "r_eff", "petror50_r"),
    "axis_ratio": ("axis_ratio", "q", "b_a"),
    "position_angle_deg": ("position_angle_deg", "pa", "pa_deg"),
}
_DEFAULTS = {"radius_arcsec": DEFAULT_RADIUS_ARCSEC, "axis_ratio": 1.0, "position_angle_deg": 0.0}


@dataclass(frozen=True)
class GalaxyTable:
    """Galaxies on the sky: arrays of one length.

    Attributes
    ----------
    ra_deg, dec_deg, mag : ndarray
    radius_arcsec : ndarray
        Effective radius along the major axis.
    axis_ratio, position_angle_deg : ndarray
        Of the major axis, from north to east.
    """

    ra_deg: np.ndarray
    dec_deg: np.ndarray
    mag: np.ndarray
    radius_arcsec: np.ndarray
    axis_ratio: np.ndarray
    position_angle_deg: np.ndarray

    def on_frame(self, wcs: WCS, shape: tuple[int, int]) -> Hosts:
        """Return the galaxies that a frame of this shape and WCS shows."""
        centre = wcs.all_pix2world((shape[1] - 1) / 2, (shape[0] - 1) / 2, 0)
        near = _separation_deg(self.ra_deg, self.dec_deg, *map(float, centre)) < _reach_deg(wcs, shape)
        ra, dec = self.ra_deg[near], self.dec_deg[near]
        if len(ra) == 0:
            return no_hosts()
        x, y = wcs.all_world2pix(ra, dec, 0)
        angle = np.radians(self.position_angle_deg[near])
        step_deg = 1 / 3600
        there = wcs.all_world2pix(
            ra + step_deg * np.sin(angle) / np.cos(np.radians(dec)), dec + step_deg * np.cos(angle), 0
        )
        mag = self.mag[near]
        hosts = Hosts(
            x=x,
            y=y,
            flux=10 ** (-0.4 * (mag - mag.min())),
            radius_arcsec=self.radius_arcsec[near],
            axis_ratio=self.axis_ratio[near],
            angle_rad=np.arctan2(there[1] - y, there[0] - x),
            mag=mag,
        )
        inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
        return Hosts(*(getattr(hosts, name)[inside] for name in Hosts.__dataclass_fields__))


def no_hosts() -> Hosts:
    """Return an empty list of hosts."""
    return Hosts(*(np.zeros(0) for _ in Hosts.__dataclass_fields__))


def read_galaxies(path: Path) -> GalaxyTable:
    """Read a table of galaxies in any format that astropy knows (CSV, FITS, VOTable, Parquet, ECSV).

    Columns: ``ra_deg, dec_deg, mag``, and where there are any ``radius_arcsec`` (else 2 arcsec), ``axis_ratio``
    (else 1) and ``position_angle_deg``; usual other names are known. Rows without position or magnitude are left out.

    Raises
    ------
    SourceError
        The table cannot be read, lacks a column, or has no usable row.
    """
    if not path.is_file():
        raise SourceError(f"galaxy_catalog={path} does not exist")
    try:
        table = Table.read(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SourceError(f"galaxy_catalog={path} cannot be read: {error}") from error
    by_lower_name = {name.lower(): name for name in table.colnames}
    columns: dict[str, np.ndarray] = {}
    for wanted, names in _NAMES.items():
        present = next((by_lower_name[name] for name in names if name in by_lower_name), None)
        if present is None and wanted not in _DEFAULTS:
            raise SourceError(
                f"galaxy_catalog={path} has no column {wanted} ({', '.join(names)}); it has {', '.join(table.colnames)}"
            )
        values = np.full(len(table), _DEFAULTS.get(wanted)) if present is None else table[present]
        columns[wanted] = np.ma.filled(np.ma.asarray(values, float), np.nan)
        if wanted in _DEFAULTS:
            columns[wanted] = np.where(np.isfinite(columns[wanted]), columns[wanted], _DEFAULTS[wanted])
    usable = np.isfinite(columns["ra_deg"]) & np.isfinite(columns["dec_deg"]) & np.isfinite(columns["mag"])
    if not usable.any():
        raise SourceError(f"galaxy_catalog={path} has no row with a position and a magnitude")
    return GalaxyTable(**{name: values[usable] for name, values in columns.items()})


def _separation_deg(ra_deg: np.ndarray, dec_deg: np.ndarray, ra_0: float, dec_0: float) -> np.ndarray:
    ra, dec, there, high = (np.radians(value) for value in (ra_deg, dec_deg, ra_0, dec_0))
    half = np.sin((dec - high) / 2) ** 2 + np.cos(dec) * np.cos(high) * np.sin((ra - there) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))))


def _reach_deg(wcs: WCS, shape: tuple[int, int]) -> float:
    """Return the distance from a frame's centre to its farthest corner."""
    corner = wcs.all_pix2world([-0.5, -0.5, shape[1], shape[1]], [-0.5, shape[0], -0.5, shape[0]], 0)
    centre = wcs.all_pix2world((shape[1] - 1) / 2, (shape[0] - 1) / 2, 0)
    return float(_separation_deg(np.asarray(corner[0]), np.asarray(corner[1]), *map(float, centre)).max())
