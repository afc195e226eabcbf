"""Catalogues of known objects (transients, variables, asteroids) and their cross-match with detections.

A table of transients may be an export of the Transient Name Server. A detection of a known object is not bogus,
whatever the survey's labelling rule, so it is unlabelled; known transients serve to evaluate a classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord, search_around_sky
from astropy.time import Time
from numpy.typing import NDArray

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
    """How close in position and time a detection of an object must be.

    Attributes
    ----------
    radius_arcsec : float
    before_d, after_d : float
        Days before and after the object's date; infinite for persistent sources.
    """

    radius_arcsec: float
    before_d: float
    after_d: float


REACH = {
    KNOWN_TRANSIENT: Reach(3.0, 30.0, 365.0),
    KNOWN_VARIABLE: Reach(3.0, np.inf, np.inf),
    KNOWN_ASTEROID: Reach(6.0, 0.01, 0.01),
}
"""An object without a date matches at any time."""


@dataclass(frozen=True)
class KnownTable:
    """Known objects; all arrays are (n,).

    Attributes
    ----------
    names, kinds : ndarray of str
        Each kind is one of `KNOWN_KINDS`.
    ra_deg, dec_deg : ndarray
    mjd : ndarray
        Of discovery, or of the position for an asteroid; NaN where unknown.
    """

    names: NDArray[np.str_]
    kinds: NDArray[np.str_]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    mjd: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def match(self, ra_deg: NDArray, dec_deg: NDArray, mjd: NDArray) -> NDArray[np.int64]:
        """Cross-match m detections with the objects, each with the nearest within its kind's `REACH`.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray of shape (m,)
            NaN matches nothing.
        mjd : ndarray of shape (m,)
            Epochs of the detections; NaN matches only objects that match at any time.

        Returns
        -------
        ndarray of int64, shape (m,)
            Index of the object, -1 for none.
        """
        matched = np.full(len(ra_deg), -1)
        nearest = np.full(len(ra_deg), np.inf)
        has_position = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
        detections = SkyCoord(ra_deg[has_position], dec_deg[has_position], unit="deg")
        for kind, reach in REACH.items():
            of_kind = np.flatnonzero(self.kinds == kind)
            objects = SkyCoord(self.ra_deg[of_kind], self.dec_deg[of_kind], unit="deg")
            near, which, separation, _ = search_around_sky(detections, objects, reach.radius_arcsec * u.arcsec)
            rows, numbers = has_position[near], of_kind[which]
            away = np.where(self._in_time(numbers, mjd[rows], reach), separation.arcsec, np.inf)
            for pair in np.argsort(away, kind="stable"):
                if away[pair] < nearest[rows[pair]]:
                    matched[rows[pair]], nearest[rows[pair]] = numbers[pair], away[pair]
        return matched

    def _in_time(self, numbers: NDArray[np.int64], mjd: NDArray[np.float64], reach: Reach) -> NDArray[np.bool_]:
        """Return which epochs, (k,), are within reach in time of the objects of these numbers, (k,)."""
        dates = self.mjd[numbers]
        in_time = (mjd - dates >= -reach.before_d) & (mjd - dates <= reach.after_d)
        return in_time | np.isnan(dates) | np.isinf(reach.before_d)


def table_of(objects: Sequence[KnownObject]) -> KnownTable:
    """Return the objects that a simulated survey lists of its own sky."""
    return KnownTable(
        np.array([entry.name for entry in objects], str),
        np.array([kind_of(entry.type) for entry in objects], str),
        np.array([entry.ra_deg for entry in objects], float),
        np.array([entry.dec_deg for entry in objects], float),
        np.array([entry.discovery_mjd for entry in objects], float),
    )


def read_known(path: Path) -> KnownTable:
    """Read a CSV of known objects.

    Columns: a name, a position (degrees, or hours and degrees with colons as written by the Transient Name Server), and
    optionally a date (MJD, JD or ISO) and a type, from which `kind_of` takes the kind.

    Raises
    ------
    SourceError
        The table cannot be read, lacks a column, or has no row with a position.
    """
    table = RowTable(path)
    text = _read_columns(table)
    ra = np.array([_degrees(path, value, u.hourangle) for value in text["ra"]])
    dec = np.array([_degrees(path, value, u.deg) for value in text["dec"]])
    usable = np.isfinite(ra) & (np.abs(dec) <= 90)
    if not usable.any():
        raise SourceError(f"known_objects={path} has no row with a position")
    return KnownTable(
        np.array([value or "" for value in text["name"]], str)[usable],
        np.array([kind_of(value) for value in text["type"]], str)[usable],
        ra[usable] % 360,
        dec[usable],
        np.array([_mjd(path, value) for value in text["date"]])[usable],
    )


def _read_columns(table: RowTable) -> dict[str, list[str | None]]:
    """Return the text of each quantity of `_NAMES`, None where an optional column is absent."""
    lower = {name.lower(): name for name in table.names}
    text: dict[str, list[str | None]] = {}
    for quantity, names in _NAMES.items():
        column = next((lower[name] for name in names if name in lower), None)
        if column is None and quantity in ("name", "ra", "dec"):
            raise SourceError(
                f"known_objects={table.path} has no column of a {quantity} ({', '.join(names)}); "
                f"it has {', '.join(table.names)}"
            )
        text[quantity] = [None] * len(table) if column is None else table.text(column)
    return text


def kind_of(type_name: str | None) -> str:
    """Return the kind of an object of this type: asteroid, variable (also CV, AGN and the like), else transient."""
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
        raise SourceError(f"known_objects={path}: {text!r} is not a coordinate") from error


def _mjd(path: Path, text: str | None) -> float:
    if text is None:
        return np.nan
    try:
        number = float(text)
    except ValueError:
        try:
            return float(Time(text.strip().replace(" ", "T"), format="isot").mjd)
        except ValueError as error:
            raise SourceError(f"known_objects={path}: {text!r} is not a date: give MJD, JD or ISO") from error
    return number - MJD_EPOCH_JD if number > MJD_EPOCH_JD else number
