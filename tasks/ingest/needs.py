"""What a build needs of its catalogue: refused at the plan where the tables' columns do not give it."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from galaxy.catalogue.columns import BY_NAME
from galaxy.catalogue.errors import CatalogueError
from galaxy.labels.schemes import Scheme
from tasks.tables.roles import ROLES, UNLESS_BESIDE

_MADE_OF: Mapping[str, str] = {
    "gz1_class": "the flags spiral, elliptical and uncertain",
    "gz1_majority": "the raw fractions p_el, p_cw, p_acw, p_edge, p_dk and p_mg",
    "gz2_class_derived": "the debiased fractions of all 37 answers",
    "galactic_latitude_deg": "the position",
    "area_ratio": "petro_r90 and psf_fwhm",
    "r_mag_corrected": "r_mag and extinction_r",
}
"""Column of a catalogue -> what it is made of where no table has it."""

_SHOWN = 12


def require_columns(
    columns: Sequence[str], scheme: Scheme | None, frame: Sequence[str], account: Mapping[str, Any], catalog: str
) -> None:
    """Refuse a catalogue that lacks a whole column that the build reads.

    Parameters
    ----------
    columns : sequence of str
        The catalogue's columns.
    scheme : Scheme or None
        Needs one of its ``columns`` and the quantity of every cut.
    frame : sequence of str
        Columns that place an image.
    account : mapping
        The account of the tables' columns, `tasks.ingest.column_account.ACCOUNT_KEYS`; may be empty.
    catalog : str
        Name of the catalogue's file.

    Raises
    ------
    CatalogueError
        It names the column, what needs it, the column of the tables that may be it, and the remedy.
    """
    for names, needed_by in _needs(scheme, frame):
        if not set(names) & set(columns):
            wanted = f"a column of {list(names)}" if len(names) > 1 else f"column {names[0]!r}"
            hints = " ".join(dict.fromkeys(_hint(name, account) for name in names))
            raise CatalogueError(f"{needed_by} needs {wanted}, which catalogue {catalog} lacks. {hints}")


def frame_columns(source: str, field: str) -> tuple[str, ...]:
    """Return the columns that place an image from a source under a field rule; none for an archive."""
    if source == "archive":
        return ()
    rule = {"petrosian": ("petro_r90_arcsec",), "redshift": ("redshift",)}.get(field, ())
    return ("ra_deg", "dec_deg", *rule)


def _needs(scheme: Scheme | None, frame: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Yield columns of which one is needed, and by what."""
    if scheme is not None:
        yield scheme.columns, f"scheme {scheme.name}"
        for cut in scheme.cuts:
            yield (cut.quantity,), f"the cut of scheme {scheme.name} on {cut.quantity}"
    for name in frame:
        yield (name,), "the image's place on the sky" if name in ("ra_deg", "dec_deg") else "the image's width (field)"


def _hint(name: str, account: Mapping[str, Any]) -> str:
    """Say which column of the tables may be the wanted one, and how to have it read."""
    why = {column: reason for reason, names in account.get("why_ignored", {}).items() for column in names}
    others = {column.lower(): column for column in (*account.get("kept", ()), *why)}
    label = BY_NAME[name].label if name in BY_NAME else name
    candidate = _candidate(name, label, others)
    made = f" It is made of {_MADE_OF[name]}." if name in _MADE_OF else ""
    if candidate is None:
        found = f" Other columns of the tables: {', '.join(list(others.values())[:_SHOWN])}." if others else ""
        return f"No table has a column known as {name}.{made}{found} {_remedy(name, label, 'NAME')}"
    reason = f"was not read ({why[others[candidate]]})" if others[candidate] in why else "was kept as text"
    if beside := UNLESS_BESIDE.get(candidate, frozenset()) & set(others):
        reason += f", since {', '.join(sorted(beside))} beside it give the name another meaning"
    return f"The table's column {others[candidate]!r} {reason}.{made} {_remedy(name, label, others[candidate])}"


def _candidate(name: str, label: str, others: Collection[str]) -> str | None:
    """Return the column, of lower-case names, that is a synonym of a catalogue column or is spelt nearly so."""
    synonyms = ROLES[label].names if label in ROLES else (name, label)
    known = [item for item in synonyms if item in others]
    for item in () if known else (*synonyms, name):
        known += difflib.get_close_matches(item.lower(), others, n=1, cutoff=0.8)
    return known[0] if known else None


def _remedy(name: str, label: str, column: str) -> str:
    if name not in BY_NAME:
        return f'If it is meant, write columns = ["{column.lower()}"] in the scheme.'
    return (
        f'If it is meant, ingest with columns=\'{{"{label}": "{column}"}}\'; else give a table that has it as metadata.'
    )
