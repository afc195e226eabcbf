"""The version of the code that produced a result."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_version() -> str:
    """Return the distribution's version and a digest of its Python sources, such as ``0.1.0+3f2a91c0``.

    A digest of the files is used instead of a commit: it changes with uncommitted edits, and an installed copy has no
    repository.
    """
    total = hashlib.sha256()
    for package in ("flows", "tasks", "expectations", "galaxy", "realbogus"):
        for path in sorted((Path(__file__).parents[2] / package).rglob("*.py")):
            total.update(path.read_bytes())
    return f"{version('starloom')}+{total.hexdigest()[:8]}"
