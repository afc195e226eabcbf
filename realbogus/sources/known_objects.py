"""Objects that others know: transients, variables, asteroids, and which detections they are.

A table of transients may be an export of the Transient Name Server. A detection that is a known object is no bogus,
whatever the survey's rule says of it, so it leaves the labels; a known transient is what a classifier is judged on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle
from astropy.time import Time
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from realbogus.records import MJD_EPOCH_JD, SourceError
from realbogus.row_tables import RowTable
from realbogus.simulation.truth_tables import KnownObject

KNOWN_TRANSIENT, KNOWN_VARIABLE, KNOWN_ASTEROID = "known_transient", "known_variable", "known_asteroid"
KNOWN_KINDS = (KNOWN_TRANSIENT, KNOWN_VARIABLE, KNOWN_ASTEROID)

_NAMES = {
    "name": ("name", "designation", "id"),
    "ra": ("ra_deg", "ra", "raj2000"),
    "dec": ("dec_deg", "dec", "declination", "dej2000"),
    "date": ("discovery_mjd", "mjd", "epoch_mjd", "jd", "discoverydate", "discovery date (ut)", "discovery_date"),
    "type": ("type", "obj. type", "class", "object_type"),
}
_ASTEROID_WORDS = ("asteroid", "minor planet", "minorplanet", "mp", "sso")
_VARIABLE_WORDS = ("var", "cv", "agn", "qso", "rr", "cep", "eclipsing", "blazar")


@dataclass(frozen=True)
class Reach:
    """How near in place and time a detection must be.

    Attributes
    ----------
    radius_arcsec : float
    before_d, after_d : float
        Days before and after the object's date; infinite for what always shines.
    """

    radius_arcsec: float
    before_d: float
    after_d: float


REACH = {
    KNOWN_TRANSIENT: Reach(3.0, 30.0, 365.0),
    KNOWN_VARIABLE: Reach(3.0, np.inf, np.inf),
    KNOWN_ASTEROID: Reach(6.0, 0.01, 0.01),
}
"""An object without a date is taken for one that always shines."""


@dataclass(frozen=True)
class KnownTable:
    """Known objects, arrays of one length.

    Attributes
    ----------
    names, kinds : ndarray of str
        Kinds are of `KNOWN_KINDS`.
    ra_deg, dec_deg : ndarray
    mjd : ndarray
        Of discovery, or of the position for an asteroid; NaN where it is not known.
    """

    names: NDArray[np.str_]
    kinds: NDArray[np.str_]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    mjd: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def match(self, ra_deg: NDArray, dec_deg: NDArray, mjd: NDArray) -> NDArray[np.int64]:
        """Return the nearest object that is within its `REACH` of each detection, -1 where there is none.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray, (n,)
            NaN matches nothing.
        mjd : ndarray, (n,)
            Epochs of the detections; NaN matches only what always shines.
        """
        matched = np.full(len(ra_deg), -1)
        nearest = np.full(len(ra_deg), np.inf)
        placed = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
        points = _unit_vectors(ra_deg[placed], dec_deg[placed])
        for kind, reach in REACH.items():
            mine = np.flatnonzero(self.kinds == kind)
            if not len(mine) or not len(placed):
                continue
            places = _unit_vectors(self.ra_deg[mine], self.dec_deg[mine])
            chord = 2 * np.sin(np.radians(reach.radius_arcsec / 3600) / 2)
            for row, point, near in zip(placed, points, cKDTree(places).query_ball_point(points, chord), strict=True):
                for at in near:
                    away = float(np.linalg.norm(point - places[at]))
                    if self._in_time(mine[at], mjd[row], reach) and away < nearest[row]:
                        matched[row], nearest[row] = mine[at], away
        return matched

    def _in_time(self, which: int, mjd: float, reach: Reach) -> bool:
        if np.isinf(reach.before_d) or np.isnan(self.mjd[which]):
            return True
        return bool(-reach.before_d <= mjd - self.mjd[which] <= reach.after_d)


def table_of(objects: Sequence[KnownObject]) -> KnownTable:
    """Return what a simulated survey lists of its own sky."""
    return KnownTable(
        np.array([known.name for known in objects], str),
        np.array([kind_of(known.type) for known in objects], str),
        np.array([known.ra_deg for known in objects], float),
        np.array([known.dec_deg for known in objects], float),
        np.array([known.discovery_mjd for known in objects], float),
    )


def read_known(path: Path) -> KnownTable:
    """Read a CSV of known objects.

    Columns: a name, a position (degrees, or hours and degrees with colons as the Transient Name Server writes), and
    if there are any a date (MJD, JD or ISO) and a type. What is called asteroid or the like moves, what is called
    variable, CV, AGN or the like always shines, everything else is a transient.

    Raises
    ------
    SourceError
        The table cannot be read, lacks a column, or has no row with a position.
    """
    table = RowTable(path)
    lower = {name.lower(): name for name in table.names}
    found = {what: next((lower[name] for name in names if name in lower), None) for what, names in _NAMES.items()}
    for what in ("name", "ra", "dec"):
        if found[what] is None:
            raise SourceError(
                f"known_objects={path} has no column of a {what} ({', '.join(_NAMES[what])}); "
                f"it has {', '.join(table.names)}"
            )
    count = len(table)
    text = {what: [None] * count if name is None else table.text(name) for what, name in found.items()}
    ra = np.array([_degrees(path, value, u.hourangle) for value in text["ra"]])
    dec = np.array([_degrees(path, value, u.deg) for value in text["dec"]])
    usable = np.isfinite(ra) & np.isfinite(dec)
    if not usable.any():
        raise SourceError(f"known_objects={path} has no row with a position")
    return KnownTable(
        np.array([value or "" for value in text["name"]], str)[usable],
        np.array([kind_of(value) for value in text["type"]], str)[usable],
        ra[usable] % 360,
        dec[usable],
        np.array([_mjd(path, value) for value in text["date"]])[usable],
    )


def kind_of(type_name: str | None) -> str:
    """Return the kind of an object of this type."""
    words = (type_name or "").strip().lower()
    if words.startswith(_ASTEROID_WORDS):
        return KNOWN_ASTEROID
    return KNOWN_VARIABLE if words.startswith(_VARIABLE_WORDS) else KNOWN_TRANSIENT


def _degrees(path: Path, text: str | None, sexagesimal: u.UnitBase) -> float:
    if text is None:
        return np.nan
    try:
        return float(Angle(text, unit=sexagesimal).deg) if ":" in text else float(text)
    except ValueError as error:
        raise SourceError(f"known_objects={path}: {text!r} is no coordinate") from error


def _mjd(path: Path, text: str | None) -> float:
    if text is None:
        return np.nan
    try:
        number = float(text)
    except ValueError:
        try:
            return float(Time(text.strip().replace(" ", "T"), format="isot").mjd)
        except ValueError as error:
            raise SourceError(f"known_objects={path}: {text!r} is no date: give MJD, JD or ISO") from error
    return number - MJD_EPOCH_JD if number > MJD_EPOCH_JD else number


def _unit_vectors(ra_deg: NDArray, dec_deg: NDArray) -> NDArray[np.float64]:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
