"""Fingerprints of the files that candidates are read from: what was staged for others must not be taken up again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from realbogus.records import RecordSource
from realbogus.sources.alerts import AlertSource
from realbogus.sources.triplets import TripletSource
from realbogus.sources.zenodo import ZenodoSource


def list_record_files(source: RecordSource) -> list[Path]:
    """Return the files whose content the names of a source's batches do not tell: tables of rows, packets."""
    if isinstance(source, TripletSource):
        return [source.table.path]
    if isinstance(source, ZenodoSource):
        return [source.path / f"params{detector}.csv" for detector in source.detectors]
    return source.files() if isinstance(source, AlertSource) else []


def fingerprint_files(paths: Iterable[Path]) -> str:
    """Return a digest of files by name, size and time of their last change; an absent one counts as that."""
    total = hashlib.sha256()
    for path in paths:
        facts = path.stat() if path.exists() else None
        size, changed_ns = (None, None) if facts is None else (facts.st_size, facts.st_mtime_ns)
        total.update(f"{path.name!r} {size} {changed_ns}\n".encode())
    return total.hexdigest()
