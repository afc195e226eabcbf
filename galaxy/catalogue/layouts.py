"""What a table's columns hold: its kind, the catalogue column that each holds, those kept as they are, those ignored.

A kind is a name for the report and says which published columns are left out on purpose. What is read does not depend
on it: any part of a published table is read as that part, and a column that means nothing here is kept as text.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from galaxy.catalogue.columns import BY_NAME, COLUMNS, EXTINCTION, MAJORITY_BUTTONS, VOTE_COLUMNS, CatalogueColumn
from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.votes import STEMS

MAPPING = "filename-mapping"
"""Kind of a table that gives ids their images."""

VOTE_NAMES = frozenset(column.name for column in VOTE_COLUMNS)
DEBIASED_NAMES = frozenset(f"{stem}_debiased" for stem in STEMS)

_GZ1_RAW = frozenset({"objid", "ra", "dec", "nvote", *MAJORITY_BUTTONS, "p_cs"})
_GZ1_DEBIASED = frozenset({"p_el_debiased", "p_cs_debiased", "spiral", "elliptical", "uncertain"})
_GZ1_FEWEST = (len(_GZ1_RAW) + len(_GZ1_DEBIASED)) // 2 + 1
_GZ2SAMPLE_MARKS = frozenset({"petror50_r_kpc", "wvt_bin", "region", "redshifterr", "mu50_r"})
_OTHER_IDS = frozenset({"specobjid", "dr8objid", "dr7objid", "objid", "stripe82objid"})

_MARKS: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        "gz2-hart16": VOTE_NAMES | {"sample", "gz2_class", "total_votes", "total_classifications"},
        "gz1-table2": frozenset({"nvote", *MAJORITY_BUTTONS, "p_cs", *_GZ1_DEBIASED}),
        "gz2sample": _GZ2SAMPLE_MARKS | {"petromag_r", "petror50_r", "petror90_r", "redshift"},
        "gz1-metadata": frozenset({"petror90_r", "petror50_r", "petromag_r", "extinction_r", "psfwidth_r", "z"}),
        MAPPING: frozenset({"sample", "asset_id"}),
    }
)
"""Kind -> columns that tell it, for the message about a table that is of none."""

_WEIGHT = re.compile("|".join(f"{stem}_weight" for stem in STEMS))
_BAND = "_m?[ugriz]"
_GZ2SAMPLE_REST = re.compile(
    rf"run|rerun|camcol|field|obj|(petro|psf|fiber|dev|exp|cmodel)mag(err)?{_BAND}|fracdev_[ugriz]|extinction_[ugriz]"
    r"|(row|col)c_[ugriz]|mu50_[ugriz]|redshifterr|petror50_r_kpc|region|\w+_simple_bin|wvt_bin"
)
_ROW_INDEX = re.compile(r"|unnamed: \d+(\.\d+)?|__index_level_\d+__|_row_index|#")


@dataclass(frozen=True)
class Layout:
    """The kind of a table and what each of its columns holds; names of the table's columns are in lower case."""

    kind: str
    source: dict[str, str]
    """Catalogue column, or `EXTINCTION`, or one of `MAJORITY_BUTTONS` -> the table's column."""
    extra: tuple[str, ...] = ()
    """The table's own further columns, kept as text."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Column that is not read -> why."""

    @property
    def has_votes(self) -> bool:
        """The table holds the debiased fractions of all 37 answers, of which the class string is derived."""
        return set(self.source) >= DEBIASED_NAMES


@dataclass(frozen=True)
class Header:
    """A table's columns and what is known of them before its kind.

    Attributes
    ----------
    path : Path
        The table, for messages.
    columns : sequence of str
        Names in lower case.
    roles : mapping of str to str
        Role of `CatalogueColumn.role` -> the column that holds it, for the roles that the table has.
    synonyms : mapping of str to sequence of str
        Role -> its names, for messages.
    named : mapping of str to str
        Catalogue column without a role -> the column that the user named for it.
    """

    path: Path
    columns: Sequence[str]
    roles: Mapping[str, str]
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)


def recognise(header: Header) -> Layout:
    """Recognise a table's kind and what its columns hold.

    Raises
    ------
    CatalogueError
        The table has neither id, position nor file name, one coordinate only, or a column whose name is nearly that
        of a published column which it lacks.
    """
    names = frozenset(header.columns)
    kind = _kind(names, header.roles)
    source = _sources(names, header)
    _require(header, kind, source)
    read = set(source.values())
    ignored = {
        name: why for name in header.columns if name not in read and (why := _why_ignored(name, kind, source, names))
    }
    extra = tuple(name for name in header.columns if name not in read and name not in ignored)
    return Layout(kind, source, extra, ignored)


def _kind(names: frozenset[str], roles: Mapping[str, str]) -> str:
    """Return the kind of a table: a published table of votes, another known table, or labels by what names a row."""
    of_votes = _kind_of_votes(names)
    if of_votes is not None:
        return of_votes
    if _is_mapping(names, roles):
        return MAPPING
    if names & _GZ2SAMPLE_MARKS and "petromag_r" in names:
        return "gz2sample"
    if "petror90_r" in names and "redshift" in roles:
        return "gz1-metadata"
    if "id" in roles:
        return "labels-by-id"
    return "labels-by-position" if "ra" in roles else "labels-by-file"


def _kind_of_votes(names: frozenset[str]) -> str | None:
    if names & VOTE_NAMES:
        return "gz2-hart16" if names.isdisjoint({"dr8objid", "specobjid", "objid"}) else "gz2-willett13"
    if len(names & (_GZ1_RAW | _GZ1_DEBIASED)) >= _GZ1_FEWEST:
        return "gz1-table2" if names & _GZ1_DEBIASED else "gz1-table3"
    return None


def _is_mapping(names: frozenset[str], roles: Mapping[str, str]) -> bool:
    """Say whether a table gives ids their images: all of ``objid, sample, asset_id`` and nothing else known here.

    Without ``sample`` further columns may be labels, so that only a row's number and a file name are allowed.
    """
    if not ({"id"} <= set(roles) <= {"id", "file"} and "asset_id" in names):
        return False
    others = names - {"sample", "asset_id", "id", "index", *roles.values()}
    known = {name for column in COLUMNS for name in (column.name, *column.aliases)}
    return others.isdisjoint(known) and ("sample" in names or all(_ROW_INDEX.fullmatch(name) for name in others))


def _sources(names: frozenset[str], header: Header) -> dict[str, str]:
    """Return catalogue column -> the table's column that holds it."""
    free = names - {*header.roles.values(), *header.named.values()}
    found = ((column.name, _source(column, free, header)) for column in COLUMNS)
    source = {name: table_name for name, table_name in found if table_name is not None}
    if "gz1_majority" not in source and names >= set(MAJORITY_BUTTONS):
        source |= {name: name for name in MAJORITY_BUTTONS}
    if EXTINCTION in names and "r_mag" in source and "r_mag_corrected" not in source:
        source[EXTINCTION] = EXTINCTION
    return source


def _source(column: CatalogueColumn, free: frozenset[str], header: Header) -> str | None:
    """Return the table's column for a catalogue column: that of its role, else the one named for it, else a synonym."""
    if column.role:
        return header.roles.get(column.role)
    known = (name for name in (column.name, *column.aliases) if name in free)
    return header.named.get(column.name) or next(known, None)


def _why_ignored(name: str, kind: str, source: Mapping[str, str], names: frozenset[str]) -> str | None:
    """Return why a column that holds nothing known is not kept either; None where it is."""
    if _ROW_INDEX.fullmatch(name):
        return "the row's number, without a name"
    if name in BY_NAME:
        return f"{BY_NAME[name].label} is read from {source[name]}"
    if kind.startswith("gz2-") and _WEIGHT.fullmatch(name):
        return "a sum of weights, in the published table; the fractions are read"
    if kind == "gz2sample" and _GZ2SAMPLE_REST.fullmatch(name):
        return "a column of the published gz2sample that no step reads"
    return _why_repeated(name, source, names) if kind.startswith(("gz1-table", "gz2-")) else None


def _why_repeated(name: str, source: Mapping[str, str], names: frozenset[str]) -> str | None:
    """Return which other column of a published table of votes holds what a column does; None if none."""
    if name in _OTHER_IDS and "id" in source:
        return f"id is read from {source['id']}"
    if name in ("rastring", "decstring") and "ra_deg" in source:
        return "the position once more, in sexagesimal"
    if name == "p_cs" and names >= set(MAJORITY_BUTTONS):
        return "the spirals' buttons together, in the published table; the single buttons are read"
    if name in MAJORITY_BUTTONS and "gz1_majority" in source:
        return "gz1_majority is read from the table"
    return None


def _require(header: Header, kind: str, source: Mapping[str, str]) -> None:
    """Refuse a table without objects, and one that lacks a column while another looks like it."""
    table = f"table {header.path} ({kind})"
    unknown = [name for name in header.columns if name not in source.values()]
    for name, other in (("ra_deg", "dec_deg"), ("dec_deg", "ra_deg")):
        if other in source and name not in source:
            raise CatalogueError(f"{table} lacks column {_accepted(name, header)}; {_columns_found(header)}")
    for name in _published(kind):
        near = None if name in source else _alike(name, unknown)
        if near is not None:
            raise CatalogueError(
                f"{table} lacks column {_accepted(name, header)}; is {near!r} a renamed one? "
                f'Then give columns=\'{{"{name}": "{near}"}}\', else rename it'
            )
    if not {"id", "ra_deg", "file"} & set(source):
        raise CatalogueError(
            f"{table} lacks column {_accepted('id', header)}: a row needs an id, a position or a file name "
            f"({_accepted('file', header)}); {_columns_found(header)}; {_nearest_kind(header)}. "
            'Name a column with columns=\'{"id": "..."}\''
        )


def _published(kind: str) -> tuple[str, ...]:
    """Return the columns that the published table of a kind has beside id and position."""
    if kind.startswith("gz2-"):
        return (*(column.name for column in VOTE_COLUMNS), "gz2_class")
    if kind.startswith("gz1-table"):
        names = (*MAJORITY_BUTTONS, "gz1_votes")
        more = ("gz1_p_el_debiased", "gz1_p_cs_debiased", "gz1_spiral", "gz1_elliptical", "gz1_uncertain")
        return (*names, *more) if kind == "gz1-table2" else names
    return ()


def _accepted(name: str, header: Header) -> str:
    """Return the names accepted for a catalogue column: the first four and, where there are more, their number."""
    column = BY_NAME.get(name)
    names = [*(header.synonyms.get(column.role, ()) or column.aliases), name] if column else [name]
    names = list(dict.fromkeys(names))
    shown = " or ".join(repr(item) for item in names[:4])
    return shown if len(names) <= 4 else f"{shown} or {len(names) - 4} more names"


def _columns_found(header: Header) -> str:
    names = ", ".join(header.columns[:40])
    return f"it has {names}" + (f" and {len(header.columns) - 40} more" if len(header.columns) > 40 else "")


def _nearest_kind(header: Header) -> str:
    """Say which published table has the most columns in common with this one, and what this one lacks of it."""
    names = set(header.columns)
    shared = {kind: len(names & marks) for kind, marks in _MARKS.items()}
    kind = max(shared, key=lambda item: shared[item])
    if not shared[kind]:
        return "the nearest known kind is labels-by-id, of which it lacks the id"
    lacking = [name for name in sorted(_MARKS[kind]) if name not in names]
    more = f" and {len(lacking) - 6} more" if len(lacking) > 6 else ""
    also = f" and {', '.join(lacking[:6])}{more}" if lacking else ""
    return f"the nearest known kind is {kind}, of which it lacks the id{also}"


def _alike(wanted: str, unknown: Sequence[str]) -> str | None:
    """Return an unrecognised column whose name is close to the wanted one's or an alias of it, else None."""
    column = BY_NAME.get(wanted)
    for name in (wanted, *(column.aliases if column else ())):
        near = difflib.get_close_matches(name, unknown, n=1, cutoff=0.9)
        if near and not _WEIGHT.fullmatch(near[0]):
            return near[0]
    return None
