"""Positions on the sky: unit vectors, matches within a radius, galactic latitude, sexagesimal text.

Positions are degrees, J2000; radii are arcsec.
Separations are taken in three dimensions with a k-d tree, so the seam at 0/360 and the poles need no special case.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

GALACTIC_POLE_DEG = (192.85948, 27.12825)
"""Right ascension and declination of the north galactic pole, J2000."""

_SEXAGESIMAL = (
    r"^\s*(?P<sign>[+-]?)(?P<whole>\d{1,3})\s*(?P<mark>[: hHdD°])\s*(?P<minutes>\d{1,2}(?:\.\d*)?)"
    r"(?:\s*[: mM'′]\s*(?:(?P<seconds>\d{1,2}(?:\.\d*)?)\s*[sS\"″]?)?)?\s*$"
)


def unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Return float64 (n, 3) unit vectors of n positions."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def chord(radius_arcsec: float) -> float:
    """Return the length of the chord between two unit vectors separated by `radius_arcsec` on the sphere."""
    return float(2 * np.sin(np.radians(radius_arcsec / 3600) / 2))


def pairs_within(ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcsec: float) -> np.ndarray:
    """Return int64 (m, 2) index pairs (first below second) of n positions (n,) within `radius_arcsec` of each other."""
    if len(ra_deg) < 2:
        return np.empty((0, 2), np.int64)
    tree = cKDTree(unit_vectors(ra_deg, dec_deg), compact_nodes=False, balanced_tree=False)
    pairs = tree.query_pairs(chord(radius_arcsec), output_type="ndarray")
    return np.sort(pairs, axis=1).astype(np.int64)


def match(
    ra_deg: np.ndarray,
    dec_deg: np.ndarray,
    ra_other_deg: np.ndarray,
    dec_other_deg: np.ndarray,
    radius_arcsec: float,
) -> np.ndarray:
    """Return int64 (n,): the nearest of the other positions within `radius_arcsec` of each of n positions, else -1.

    NaN positions match nothing.
    """
    match_of = np.full(len(ra_deg), -1, np.int64)
    finite = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    finite_other = np.flatnonzero(np.isfinite(ra_other_deg) & np.isfinite(dec_other_deg))
    if not len(finite) or not len(finite_other):
        return match_of
    tree = cKDTree(unit_vectors(ra_other_deg[finite_other], dec_other_deg[finite_other]))
    reach = np.nextafter(chord(radius_arcsec), np.inf)  # the tree's bound is exclusive
    distance, nearest = tree.query(unit_vectors(ra_deg[finite], dec_deg[finite]), distance_upper_bound=reach)
    hit = np.isfinite(distance)
    match_of[finite[hit]] = finite_other[nearest[hit]]
    return match_of


def galactic_latitude(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Return galactic latitude in degrees, float64 (n,); NaN positions give NaN."""
    pole_ra, pole_dec = np.radians(GALACTIC_POLE_DEG)
    pole = np.array([np.cos(pole_dec) * np.cos(pole_ra), np.cos(pole_dec) * np.sin(pole_ra), np.sin(pole_dec)])
    vectors = unit_vectors(ra_deg, dec_deg)
    # atan2 of sine and cosine is accurate at the galactic poles, where arcsin loses half of its digits.
    return np.degrees(np.arctan2(vectors @ pole, np.linalg.norm(np.cross(vectors, pole), axis=-1)))


def parse_angles(text: pa.Array, *, sexagesimal_hours: bool) -> np.ndarray:
    """Read angles written as decimal degrees or as sexagesimal text; float64 (n,) degrees, NaN where unreadable.

    Sexagesimal text is parted by colons, blanks or the letters and signs of its units. Its sign is taken from the
    string, since the numbers of ``-00:12:34.5`` have lost it. Seconds of 60 are accepted, since the producers print
    them.

    Parameters
    ----------
    text
        Strings; null gives NaN.
    sexagesimal_hours
        Sexagesimal text counts hours (right ascension), not degrees. Decimal text is in degrees either way, and text
        with ``h``, ``d`` or ``°`` in what that says.
    """
    try:
        return text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        text = pc.replace_substring(pc.utf8_trim_whitespace(text), "−", "-")  # some entries are not plain decimal
    parts = pc.extract_regex(text, _SEXAGESIMAL)
    number = {name: _decimal(parts.field(name)) for name in ("whole", "minutes", "seconds")}
    number["seconds"] = np.where(np.isfinite(number["seconds"]), number["seconds"], 0.0)
    degrees = number["whole"] + number["minutes"] / 60 + number["seconds"] / 3600
    readable = (number["minutes"] < 60) & (number["seconds"] <= 60)
    mark = np.asarray(pc.utf8_lower(parts.field("mark")))
    in_hours = mark == "h"
    if sexagesimal_hours:
        in_hours |= (mark == ":") | (mark == " ")
    degrees = np.where(in_hours, 15 * degrees, degrees)
    sign = np.where(np.asarray(parts.field("sign")) == "-", -1.0, 1.0)
    written_sexagesimal = parts.is_valid().to_numpy(zero_copy_only=False)
    return np.where(written_sexagesimal, np.where(readable, sign * degrees, np.nan), _decimal(text))


def _decimal(text: pa.Array) -> np.ndarray:
    """Return float64 (n,), NaN where the text is not a decimal number."""
    numeric = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    values = pc.if_else(pc.fill_null(numeric, False), pc.replace_substring_regex(text, r"^\+", ""), None)
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
