"""Words by which a text names things of a workspace: versions of datasets and models, runs, digests, files, nights.

The reading is generous: a word too many keeps a thing that could have gone, a word too few removes one that is named.
"""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

_PICTURE = re.compile(r"<svg .*?</svg>|data:[a-z]+/[a-z+.-]+;base64,[A-Za-z0-9+/=]*", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_WORD = re.compile(r"[\w.@-]+")
_NUMBERED = (
    re.compile(r"([\w.-]+)@(\d+)\b"),
    re.compile(r"([\w.-]+),? +(?:version|v) *(\d+)\b"),
    re.compile(r"datasets/([\w.-]+)/versions/0*(\d+)\b"),
    re.compile(r"([\w.-]+)/(\d+)\b"),
)
_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


def words_of_text(text: str) -> frozenset[str]:
    """Return the words of a plain text; a version of anything is also ``NAME@NUMBER``, however it is written.

    Written as ``sky@3``, ``sky, version 3``, ``datasets/sky/versions/000003``, ``models:/realbogus/3`` or
    ``realbogus/3``.
    """
    words = {word.strip(".-") for word in _WORD.findall(text)}
    words |= {versioned(name, int(number)) for form in _NUMBERED for name, number in form.findall(text)}
    words |= set(dates_in(text))
    return frozenset(words - {""})


def words_of_page(page: str) -> frozenset[str]:
    """Return the words of an HTML page, of its links too, but not of its pictures."""
    bare = html.unescape(_PICTURE.sub(" ", page))
    return words_of_text(bare) | words_of_text(" ".join(_TAG.sub(" ", bare).split()))


def words_of_value(value: Any) -> frozenset[str]:
    """Return the words of all text and numbers in a JSON value, and in JSON that is written in its texts."""
    return frozenset().union(*(words_of_text(text) for text in _texts(value)))


def versioned(name: str, number: int) -> str:
    """Return the word for a version of a dataset or of a registered model."""
    return f"{name}@{number}"


def dates_in(text: str) -> list[str]:
    """Return the dates YYYY-MM-DD in a text or a name."""
    return _DATE.findall(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield str(name)
            yield from _texts(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _texts(entry)
    elif value is not None:
        yield str(value)
        if isinstance(value, str) and value[:1] in ("{", "["):
            try:
                yield from _texts(json.loads(value))
            except ValueError:
                return
