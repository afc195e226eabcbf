"""Names of columns as they are compared with synonyms: without a note in brackets, or the record that holds them."""

import re
from collections.abc import Sequence

_NOTE = re.compile(r"[\s_]*[\[(][^\[\]()]*[\])]\s*$")
_NESTED = re.compile(r"\S+[.:](\w+)")


def column_keys(columns: Sequence[str], *, nested: bool = False) -> dict[str, str]:
    """Return key -> column: ``mjd`` for ``mjd (tai)`` and, if `nested`, ``jd`` for ``candidate.jd`` or ``i:jd``.

    A column keeps its whole name where two would have the same key.

    Parameters
    ----------
    columns : sequence of str
        Names in lower case.
    nested : bool
    """
    short = [_short(name, nested=nested) for name in columns]
    return {key if short.count(key) == 1 else name: name for key, name in zip(short, columns, strict=True)}


def _short(name: str, *, nested: bool) -> str:
    plain = _NOTE.sub("", name) or name
    found = _NESTED.fullmatch(plain) if nested else None
    return plain if found is None else found[1]
