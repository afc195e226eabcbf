"""The catalogue's columns, their names in published tables, and how a table's kind is recognised by its columns."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.votes import STEMS


@dataclass(frozen=True)
class CatalogueColumn:
    """One column of a catalogue; values outside (low, high) mark missing data and become null."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    aliases: tuple[str, ...] = ()
    """Lower-case names in published tables, the preferred one first; the column's own name is recognised too."""
    low: float | None = None
    high: float | None = None
    role: str = ""
    """The role whose column it holds; empty where the column is found by its own name and aliases."""


VOTE_MEASURES: MappingProxyType[str, tuple[pa.DataType, str]] = MappingProxyType(
    {
        "count": (pa.int16(), "votes for the answer"),
        "fraction": (pa.float32(), "share of the question's votes"),
        "weighted_fraction": (pa.float32(), "share with volunteers weighted by consistency"),
        "debiased": (pa.float32(), "share corrected for redshift"),
        "flag": (pa.bool_(), "in the producers' clean sample"),
    }
)
_VOTE_COLUMNS = tuple(
    CatalogueColumn(f"{stem}_{measure}", kind, "", meaning)
    for stem in STEMS
    for measure, (kind, meaning) in VOTE_MEASURES.items()
)
_F64, _F32, _I32, _TEXT, _BOOL = pa.float64(), pa.float32(), pa.int32(), pa.string(), pa.bool_()

COLUMNS: tuple[CatalogueColumn, ...] = (
    CatalogueColumn(
        "id",
        _TEXT,
        "",
        "object id, digits as text so that 19 of them stay exact",
        role="id",
    ),
    CatalogueColumn("ra_deg", _F64, "deg", "right ascension, J2000, 0 to 360", role="ra"),
    CatalogueColumn("dec_deg", _F64, "deg", "declination, J2000, -90 to 90", role="dec"),
    CatalogueColumn("sample", _TEXT, "", "the table's own sample name"),
    CatalogueColumn("redshift", _F64, "", "redshift", (), -0.1, 12, role="redshift"),
    CatalogueColumn(
        "petro_r50_arcsec", _F64, "arcsec", "radius of half the Petrosian flux in r", ("petror50_r",), 0, 3600
    ),
    CatalogueColumn(
        "petro_r90_arcsec", _F64, "arcsec", "radius of 90 % of the Petrosian flux in r", ("petror90_r",), 0, 3600
    ),
    CatalogueColumn("r_mag", _F64, "mag", "Petrosian r, as observed", ("petromag_r",), 0, 30),
    CatalogueColumn("r_mag_corrected", _F64, "mag", "Petrosian r, corrected for galactic extinction", (), 0, 30),
    CatalogueColumn("galactic_latitude_deg", _F64, "deg", "galactic latitude, from the position"),
    CatalogueColumn("psf_fwhm_arcsec", _F64, "arcsec", "width of the PSF in r", ("psfwidth_r", "psffwhm_r"), 0, 60),
    CatalogueColumn(
        "area_ratio",
        _F64,
        "",
        "galaxy's area over the PSF's; where not given, (2 petro_r90 / psf_fwhm)^2",
        ("areasratio",),
        0,
        1e9,
    ),
    CatalogueColumn("total_votes", _I32, "", "answers given, all questions", low=-1),
    CatalogueColumn("total_classifications", _I32, "", "volunteers who saw the galaxy", low=-1),
    CatalogueColumn("gz2_class", _TEXT, "", "the table's own class string", ("gz2class",)),
    CatalogueColumn("gz2_class_derived", _TEXT, "", "class string by the producers' rules from the debiased fractions"),
    *_VOTE_COLUMNS,
    CatalogueColumn("gz1_spiral", _BOOL, "", "debiased vote above 0.8 for spiral", ("spiral",)),
    CatalogueColumn("gz1_elliptical", _BOOL, "", "debiased vote above 0.8 for elliptical", ("elliptical",)),
    CatalogueColumn("gz1_uncertain", _BOOL, "", "neither of the two", ("uncertain",)),
    CatalogueColumn("gz1_p_el_debiased", _F32, "", "debiased fraction for elliptical", ("p_el_debiased",), -1),
    CatalogueColumn("gz1_p_cs_debiased", _F32, "", "debiased fraction for any spiral", ("p_cs_debiased",), -1),
    CatalogueColumn("gz1_votes", _I32, "", "votes in Galaxy Zoo 1", ("nvote",), -1),
    CatalogueColumn("gz1_class", _TEXT, "", "spiral, elliptical or uncertain, from the flags"),
    CatalogueColumn("gz1_majority", _TEXT, "", "button with most raw votes in Galaxy Zoo 1"),
    CatalogueColumn("file", _TEXT, "", "name of the object's image file", ("filename", "file_name")),
    CatalogueColumn("asset_id", pa.int64(), "", "number of the image in the published archive", low=0),
)
BY_NAME: MappingProxyType[str, CatalogueColumn] = MappingProxyType({column.name: column for column in COLUMNS})

MAJORITY_BUTTONS: MappingProxyType[str, str] = MappingProxyType(
    {
        "p_el": "elliptical",
        "p_cw": "clockwise",
        "p_acw": "anticlockwise",
        "p_edge": "edge_on",
        "p_dk": "dont_know",
        "p_mg": "merger",
    }
)
"""Galaxy Zoo 1's raw fractions, in the table's order, and what `gz1_majority` calls their buttons."""

INPUT_ONLY: tuple[str, ...] = (*MAJORITY_BUTTONS, "extinction_r")
"""Columns that are read to make others and not kept."""

_GZ1_FLAGS = ("spiral", "elliptical", "uncertain")
_GZ1_FRACTIONS = (*MAJORITY_BUTTONS, "p_cs", "p_el_debiased", "p_cs_debiased")
_GZ1_TABLE2 = frozenset({"objid", "ra", "dec", "nvote", *_GZ1_FRACTIONS, *_GZ1_FLAGS})
_VOTE_NAMES = frozenset(column.name for column in _VOTE_COLUMNS)
_GZ2SAMPLE_MARKS = frozenset({"petror50_r_kpc", "wvt_bin", "region", "redshifterr", "mu50_r"})


@dataclass(frozen=True)
class Layout:
    """The kind of a table and the catalogue column that each of its columns holds."""

    kind: str
    source: dict[str, str]
    """Catalogue column (or a name of `INPUT_ONLY`) -> the table's lower-case column."""
    extra: tuple[str, ...]
    """The table's own further columns, kept as text; plain label tables only."""

    @property
    def has_votes(self) -> bool:
        """The table holds the 37 answers."""
        return self.kind in ("gz2-hart16", "gz2-willett13")


def recognise(path: Path, columns: Sequence[str], roles: Mapping[str, str]) -> Layout:
    """Recognise a table's kind by its columns.

    Parameters
    ----------
    path : Path
        The table, for messages.
    columns : sequence of str
        Its column names in lower case.
    roles : mapping of str to str
        Role (``id``, ``ra``, ``dec``, ``redshift``) -> the column that holds it, for the roles that the table has.

    Raises
    ------
    CatalogueError
        A column that the kind requires is missing or renamed, or the table has neither id nor position.
    """
    names = frozenset(columns)
    kind = _kind(names, roles)
    source = _sources(names, roles)
    _require(path, kind, names, source)
    recognised = set(source.values())
    plain = kind.startswith("labels")
    return Layout(kind, source, tuple(n for n in columns if n not in recognised) if plain else ())


def _kind(names: frozenset[str], roles: Mapping[str, str]) -> str:
    if names & _VOTE_NAMES:
        return "gz2-hart16" if names.isdisjoint({"dr8objid", "specobjid", "objid"}) else "gz2-willett13"
    if len(names & _GZ1_TABLE2) > len(_GZ1_TABLE2) // 2:
        return "gz1-table2"
    if "asset_id" in names and names <= {"objid", "id", "sample", "asset_id"}:
        return "filename-mapping"
    if names & _GZ2SAMPLE_MARKS and "petromag_r" in names:
        return "gz2sample"
    if "petror90_r" in names and names & {"z", "redshift"}:
        return "gz1-metadata"
    if "id" in roles:
        return "labels-by-id"
    return "labels-by-position" if "ra" in roles else "labels-by-file"


def _sources(names: frozenset[str], roles: Mapping[str, str]) -> dict[str, str]:
    """Return catalogue column -> the table's lower-case column that holds it."""
    source = {}
    for column in COLUMNS:
        if column.role:
            table_name = roles.get(column.role)
        else:
            table_name = next((name for name in (column.name, *column.aliases) if name in names), None)
        if column.name == "redshift" and table_name == "z" and {"i", "r"} <= names:
            continue  # there z is a magnitude
        if table_name is not None:
            source[column.name] = table_name
    return source | {name: name for name in INPUT_ONLY if name in names}


def _require(path: Path, kind: str, names: frozenset[str], source: dict[str, str]) -> None:
    """Refuse a table that lacks a column of its kind, naming the column that looks like it."""
    required: tuple[str, ...] = ()
    if kind.startswith("gz2-"):
        required = ("id", "ra_deg", "dec_deg", *(column.name for column in _VOTE_COLUMNS))
    elif kind == "gz1-table2":
        required = ("id", "ra_deg", "dec_deg", *MAJORITY_BUTTONS)
        required += ("gz1_votes", "gz1_p_el_debiased", "gz1_p_cs_debiased")
        required += ("gz1_spiral", "gz1_elliptical", "gz1_uncertain")
    elif kind in ("filename-mapping", "gz2sample", "labels-by-id"):
        required = ("id",)
    elif kind == "labels-by-file":
        required = ("file",)
    if ("ra_deg" in source) != ("dec_deg" in source):
        required += ("ra_deg", "dec_deg")
    missing = [name for name in required if name not in source]
    if kind.startswith("gz2-") and "gz2_class" not in source and _alike("gz2_class", names, source):
        missing.append("gz2_class")
    if missing:
        raise CatalogueError(f"table {path} ({kind}) {_describe_missing(missing, names, source)}")


def _describe_missing(missing: list[str], names: frozenset[str], source: dict[str, str]) -> str:
    first = missing[0]
    column = BY_NAME.get(first)
    accepted_names = " or ".join(repr(name) for name in dict.fromkeys((*(column.aliases if column else ()), first)))
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    alike = _alike(first, names, source)
    hint = f"; is {alike!r} a renamed one?" if alike else f"; it has {', '.join(sorted(names)[:12])}, ..."
    return f"lacks column {accepted_names}{others}{hint}"


def _alike(wanted: str, names: frozenset[str], source: dict[str, str]) -> str | None:
    """Return an unrecognised column of the table whose name is close to the wanted one, else None."""
    unknown = [name for name in names if name not in source.values()]
    column = BY_NAME.get(wanted)
    for name in (wanted, *(column.aliases if column else ())):
        near = difflib.get_close_matches(name, unknown, n=1, cutoff=0.8)
        if near:
            return near[0]
    return None
