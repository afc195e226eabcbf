"""Catalogues of known objects (transients, variables, asteroids) and their cross-match with detections.

A table of transients may be an export of the Transient Name Server. A detection of a known object is not bogus,
whatever the survey's labelling rule, so it is unlabelled; known transients serve to evaluate a classifier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from numpy.typing import NDArray

from realbogus.epochs import column_epochs
from realbogus.records import SourceError
from realbogus.simulation.truth_tables import KnownObject
from realbogus.sky_angles import read_degrees, split_position
from realbogus.sources.object_kinds import (
    KNOWN_ASTEROID,
    KNOWN_TRANSIENT,
    KNOWN_VARIABLE,
    is_asteroid_name,
    is_transient_name,
    kind_of,
)

_EQUINOXES = frozenset(("J2000", "J2000.0", "2000", "2000.0", "B1950", "1950", "1950.0"))


class NoEpochError(SourceError):
    """A frame has no epoch, so that its detections cannot be compared with dated objects."""


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

    def match(
        self, ra_deg: NDArray, dec_deg: NDArray, mjd: NDArray, *, without_epoch: bool = False
    ) -> NDArray[np.int64]:
        """Cross-match m detections with the objects, each with the nearest within its kind's `REACH`.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray of shape (m,)
            NaN matches nothing.
        mjd : ndarray of shape (m,)
            Epochs of the detections; NaN matches only objects that match at any time.
        without_epoch : bool
            Detections without an epoch match by position alone.

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
            in_time = self._in_time(numbers, mjd[rows], reach) | (without_epoch & np.isnan(mjd[rows]))
            away = np.where(in_time, separation.arcsec, np.inf)
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


def known_table(
    source: str,
    columns: Mapping[str, Sequence[str | None]],
    layout: str = "",
    date_column: str = "discovery_time",
) -> KnownTable:
    """Make a table of known objects from the texts of its columns.

    A row without a position is left out. A date without a time of day counts from 0 h. A year of an equinox, such as
    2000.0, is no date.

    Parameters
    ----------
    source : str
        Name of the table, for messages.
    columns : mapping of str to sequence of n texts or None
        ``ra`` (degrees, or hours with colons) and ``dec`` or both in ``position``; and any of ``name``,
        ``name_prefix`` (before the name), ``discovery_time``, ``time_of_day`` (of a date without a time),
        ``object_type``. None where a value is missing.
    layout : str
        A kind of `KNOWN_KINDS` that objects of no known type have; empty: transients, and asteroids by their names.
    date_column : str
        Name of the column of dates in the table: it may state the time scale, as for `epochs.column_epochs`.

    Raises
    ------
    SourceError
        A coordinate or a date cannot be read, or no row has a position; the message names table and row.
    """
    ra_deg, dec_deg = _positions(source, columns)
    usable = np.isfinite(ra_deg) & (np.abs(dec_deg) <= 90)
    count = len(ra_deg)
    names = _column(columns, "name", count)
    prefixes = _column(columns, "name_prefix", count)
    types = _column(columns, "object_type", count)
    if not usable.any():
        raise SourceError(f"known_objects={source} has no row with a position among {count} rows")
    return KnownTable(
        np.array([(prefix or "") + (name or "") for prefix, name in zip(prefixes, names, strict=True)], str)[usable],
        np.array([_kind(name, word, layout) for name, word in zip(names, types, strict=True)], str)[usable],
        ra_deg[usable] % 360,
        dec_deg[usable],
        _dates(source, _column(columns, "discovery_time", count), columns.get("time_of_day"), date_column)[usable],
    )


def _column(columns: Mapping[str, Sequence[str | None]], name: str, count: int) -> Sequence[str | None]:
    return columns.get(name, [None] * count)


def _kind(name: str | None, type_name: str | None, layout: str) -> str:
    """Return the kind of an object by its type, else by its name, else by the table that it stands in."""
    default = layout or KNOWN_TRANSIENT
    if is_transient_name(name):
        default = KNOWN_TRANSIENT
    elif not layout and is_asteroid_name(name):
        default = KNOWN_ASTEROID
    return kind_of(type_name, default)


def _positions(
    source: str, columns: Mapping[str, Sequence[str | None]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if "position" in columns:
        halves = [_split(source, row, text) for row, text in enumerate(columns["position"])]
        ra, dec = [half[0] for half in halves], [half[1] for half in halves]
    else:
        ra, dec = list(columns["ra"]), list(columns["dec"])
    return _degrees(source, "right ascension", ra, hours=True), _degrees(source, "declination", dec, hours=False)


def _split(source: str, row: int, text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    try:
        return split_position(text)
    except ValueError as error:
        raise SourceError(f"known_objects={source}, row {row}: {error}") from error


def _degrees(source: str, what: str, texts: Sequence[str | None], *, hours: bool) -> NDArray[np.float64]:
    degrees = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if text is None or not text.strip():
            continue
        try:
            degrees[row] = read_degrees(text, hours=hours)
        except ValueError as error:
            raise SourceError(f"known_objects={source}, row {row}, {what}: {error}") from error
    return degrees


def _dates(
    source: str, texts: Sequence[str | None], clocks: Sequence[str | None] | None, name: str
) -> NDArray[np.float64]:
    dated = [None if text is None or text.strip().upper() in _EQUINOXES else text for text in texts]
    mjd, faults = column_epochs(name, dated, clocks, dates=True)
    if faults:
        raise SourceError(f"known_objects={source}: {faults[0]}")
    return mjd
