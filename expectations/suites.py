"""The expectations on each table: suites as functions of the schema's constants.

Nothing here uses Great Expectations, so a suite can be listed and tested without its import. `expectations.frames`
makes the frames to validate, `expectations.runner` validates them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from expectations.split_shares import PART_SHARES
from galaxy.catalogue.columns import BY_NAME, COLUMNS, CatalogueColumn

Kind = Literal["row", "set", "note"]
"""A failure of ``row`` rejects the failing rows, of ``set`` stops the flow, of ``note`` is only recorded and shown."""

LEAST_GROUPS = 30
"""A class with fewer groups may be absent from a part of the split."""
LEAST_PLACED_GROUPS = 131
"""The same for groups assigned by hash: a part of a tenth misses all of 131 groups once in a million times."""

SHA256 = r"^[0-9a-f]{64}$"
SAFE_ID = r"^(?!\.{1,2}$)[^\x00-\x1f/\\]{1,200}$"
"""An id may be part of a file name: no separators, no control characters, neither ``.`` nor ``..``."""

CATALOGUE_TYPES = {column.name: str(column.type) for column in COLUMNS}
RANGED = (
    "redshift",
    "petro_r50_arcsec",
    "petro_r90_arcsec",
    "r_mag",
    "r_mag_corrected",
    "psf_fwhm_arcsec",
    "area_ratio",
    "total_votes",
    "gz1_votes",
)
"""Columns of the catalogue whose values must be within the schema's bounds."""

LABEL_TYPES = {"id": "string", "label": "string", "vote_fraction": "float", "votes_at_node": "int32"}
SPLIT_TYPES = {"id": "string", "group": "string", "part": "string"}
"""Arrow type of each column."""

Condition = tuple[str, Literal["==", ">=", "<"], str | int | float]


@dataclass(frozen=True)
class Expectation:
    """An expectation: ``type`` is the name of the Great Expectations class, ``arguments`` are its keyword arguments."""

    name: str
    kind: Kind
    sentence: str
    type: str
    arguments: dict[str, Any]
    where: Condition | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the expectation is about, without that of the condition."""
        return tuple(self.arguments[key] for key in ("column", "column_A", "column_B") if key in self.arguments)


@dataclass(frozen=True)
class Suite:
    """The expectations on one frame; ``index`` is the column that identifies its rows."""

    name: str
    expectations: tuple[Expectation, ...]
    index: str = "id"
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        used = [self.index]
        for expectation in self.expectations:
            used += [*expectation.columns, *([expectation.where[0]] if expectation.where else [])]
        object.__setattr__(self, "columns", tuple(dict.fromkeys(used)))


def between(
    name: str, kind: Kind, column: str, interval: str, sentence: str, where: Condition | None = None
) -> Expectation:
    """Return the expectation that values are in an interval, written as ``[0, 360)``, ``[1, )`` or ``(, 0.5]``."""
    low, high = (end.strip() for end in interval[1:-1].split(","))
    arguments: dict[str, Any] = {"column": column}
    if low:
        arguments |= {"min_value": float(low), "strict_min": interval[0] == "("}
    if high:
        arguments |= {"max_value": float(high), "strict_max": interval[-1] == ")"}
    return Expectation(name, kind, sentence, "ExpectColumnValuesToBeBetween", arguments, where)


def present(name: str, column: str, sentence: str, where: Condition | None = None) -> Expectation:
    """Return the set expectation that no value of a column is missing."""
    return Expectation(name, "set", sentence, "ExpectColumnValuesToNotBeNull", {"column": column}, where)


def unique(name: str, column: str, sentence: str) -> Expectation:
    """Return the set expectation that no value of a column occurs twice; missing values may."""
    return Expectation(name, "set", sentence, "ExpectColumnValuesToBeUnique", {"column": column})


def matching(name: str, column: str, pattern: str, sentence: str) -> Expectation:
    """Return the set expectation that each value matches a regular expression."""
    arguments = {"column": column, "regex": pattern}
    return Expectation(name, "set", sentence, "ExpectColumnValuesToMatchRegex", arguments)


def one_of(name: str, column: str, values: Iterable[str], sentence: str) -> Expectation:
    """Return the set expectation that each value is one of `values`."""
    arguments = {"column": column, "value_set": list(values)}
    return Expectation(name, "set", sentence, "ExpectColumnValuesToBeInSet", arguments)


def one_per(name: str, key: str, value: str, sentence: str) -> Expectation:
    """Return the set expectation that rows with equal `key` have equal `value`."""
    arguments = {"column_A": key, "column_B": value}
    return Expectation(name, "set", sentence, "ExpectOneValueOfBForEachOfA", arguments)


def identities() -> tuple[Expectation, ...]:
    """Return the expectations on the ``id`` column of every table."""
    return (
        present("id_missing", "id", "every row has an id"),
        unique("id_repeated", "id", "no id occurs twice"),
        matching("id_unsafe", "id", SAFE_ID, "an id can be part of a file's name"),
    )


def types(table: str) -> Suite:
    """Return the suite of a table's columns (the frame of ``frames.column_frame``)."""
    equal = {"column_A": "type", "column_B": "wanted"}
    return Suite(
        f"{table} columns",
        (
            Expectation(
                "column_type",
                "set",
                "every column has the type of the schema, and no required column is missing",
                "ExpectColumnPairValuesToBeEqual",
                equal,
            ),
            between("nan_values", "set", "nans", "[0, 0]", "a missing number is null, never NaN"),
        ),
        index="column",
    )


def catalogue(columns: Collection[str]) -> Suite:
    """Return the suite of a catalogue with these columns; a missing value is null and passes."""
    positions = (
        between("ra_range", "set", "ra_deg", "[0, 360)", "right ascension is in [0, 360) deg"),
        between("dec_range", "set", "dec_deg", "[-90, 90]", "declination is in [-90, 90] deg"),
    )
    ranges = [_bounded(BY_NAME[name]) for name in RANGED]
    applicable = [expectation for expectation in (*positions, *ranges) if expectation.columns[0] in columns]
    return Suite("catalogue", (*identities(), *applicable))


def _bounded(column: CatalogueColumn) -> Expectation:
    ends = ["" if end is None else f"{end:g}" for end in (column.low, column.high)]
    interval = f"({ends[0]}, {ends[1]})"
    sentence = f"{column.meaning}: is in {interval} {column.unit}".strip()
    return between(f"{column.name}_range", "set", column.name, interval, sentence)


def ledger(array_rows: int, *, raw_kept: bool = True) -> Suite:
    """Return the suite of a ledger whose pixel array has `array_rows` rows."""
    stored: Condition = ("status", "==", "stored")
    rejected: Condition = ("status", "==", "rejected")
    raw = (
        [present("stored_raw", "raw_sha256", "a stored row has the digest of its raw bytes", stored)]
        if raw_kept
        else []
    )
    return Suite(
        "ledger",
        (
            *identities(),
            one_of("status", "status", ("stored", "rejected"), "a row is stored or rejected"),
            present("status_missing", "status", "every requested row has a status"),
            present("stored_row", "row", "a stored row has a position in the array", stored),
            present("stored_group", "group", "a stored row has a group", stored),
            present("stored_pixels", "pixel_sha256", "a stored row has the digest of its pixels", stored),
            *raw,
            present("rejected_reason", "reason", "a rejected row has a reason", rejected),
            Expectation(
                "rejected_row",
                "set",
                "a rejected row has no position in the array",
                "ExpectColumnValuesToBeNull",
                {"column": "row"},
                rejected,
            ),
            unique("row_repeated", "row", "no two rows share a position in the array"),
            between("row_range", "set", "row", f"[0, {array_rows})", "positions are within the array"),
            matching("pixel_digest", "pixel_sha256", SHA256, "a pixel digest is 64 hexadecimal digits"),
        ),
    )


def images(columns: Collection[str], *, least_finite_fraction: float = 1.0) -> Suite:
    """Return the suite of image statistics, one row per image; the first failure is the reason of its rejection.

    Of equal images the first of the frame is kept; `expectations.frames.image_frame` sorts it.
    """
    statistics = (
        between(
            "nan",
            "row",
            "finite_fraction",
            f"[{least_finite_fraction}, )",
            f"at least {least_finite_fraction:g} of the values are finite",
        ),
        between("blank", "row", "blank_fraction", "[0, 0.5]", "at most half of the image is blank"),
        between("constant", "row", "std", "(0, )", "the values are not all the same"),
        Expectation(
            "duplicate_pixels",
            "row",
            "no earlier image has the same pixels",
            "ExpectColumnValuesToNotRepeat",
            {"column": "pixel_sha256"},
        ),
    )
    applicable = [expectation for expectation in statistics if expectation.columns[0] in columns]
    measured = [
        present(f"{column}_missing", column, f"{column} was measured for every image")
        for column in ("blank_fraction", "pixel_sha256")
        if column in columns
    ]
    return Suite("images", (*applicable, *measured))


def labels(scheme: str, classes: Collection[str], columns: Collection[str]) -> Suite:
    """Return the suite of one scheme's labels (the frame of ``frames.label_frame``)."""
    votes = (
        between("vote_fraction_range", "set", "vote_fraction", "[0, 1]", "a vote fraction is in [0, 1]"),
        between("votes_range", "set", "votes_at_node", "[0, )", "a number of votes is not negative"),
        between("soft_label_sum", "set", "fraction_sum", "[0.999, 1.001]", "the shares of the classes sum to 1"),
        between("soft_label_range", "set", "fraction_least", "[0, )", "no share of a class is negative"),
    )
    return Suite(
        f"labels {scheme}",
        (
            *identities(),
            one_of("class", "label", classes, "a label is one of the scheme's classes or missing"),
            one_of("label_of_nothing", "status", ("stored", "rejected"), "a labelled id is in the ledger"),
            *[expectation for expectation in votes if expectation.columns[0] in columns],
        ),
    )


def classes(scheme: str, least_groups: int = LEAST_GROUPS) -> Suite:
    """Return the suite of a scheme's classes in the split (the frame of ``frames.class_frame``)."""
    everywhere = "every class is in every part of the split"
    large: Condition = ("groups", ">=", least_groups)
    small: Condition = ("groups", "<", least_groups)
    return Suite(
        f"classes {scheme}",
        (
            between(
                "class_gone",
                "set",
                "groups",
                "[1, )",
                f"a class with at least {least_groups} expected groups is present",
                ("expected", ">=", least_groups),
            ),
            between("class_absent", "note", "groups", "[1, )", "every class of the scheme is present"),
            between("class_lacks_part", "set", "least_part", "[1, )", everywhere, large),
            between(
                "small_class_lacks_part",
                "note",
                "least_part",
                "[1, )",
                f"{everywhere}, even a class with fewer than {least_groups} groups",
                small,
            ),
        ),
        index="class",
    )


def split() -> Suite:
    """Return the suite of a split and its ledger (the frame of ``frames.split_frame``)."""
    same_group = {"column_A": "group", "column_B": "ledger_group", "ignore_row_if": "either_value_is_missing"}
    return Suite(
        "split",
        (
            *identities(),
            present("part_missing", "part", "every stored row has a part"),
            one_of("part", "part", PART_SHARES, "a part is train, validation or test"),
            one_of("part_of_nothing", "status", ("stored",), "only stored rows have a part"),
            present("part_of_unknown", "status", "every id of the split is in the ledger"),
            Expectation(
                "group_changed",
                "set",
                "a row has the same group in the split and in the ledger",
                "ExpectColumnPairValuesToBeEqual",
                same_group,
            ),
            one_per("group_in_two_parts", "group", "part", "no group is in two parts"),
            one_per("pixels_in_two_parts", "pixel_sha256", "part", "no two parts hold the same pixels"),
        ),
    )


def shares() -> Suite:
    """Return the suite of the sizes of the parts (the frame of ``frames.share_frame``)."""
    near = {"column_A": "tolerance", "column_B": "deviation", "or_equal": True}
    return Suite(
        "split shares",
        (
            between("part_empty", "note", "rows", "[1, )", "no part is empty"),
            Expectation(
                "part_share",
                "set",
                "the parts are as near 8:1:1 as whole groups allow",
                "ExpectColumnPairValuesAToBeGreaterThanB",
                near,
            ),
        ),
        index="part",
    )
