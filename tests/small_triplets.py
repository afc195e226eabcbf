"""Sources of triplets whose tables are read with the table of synonyms, as the flows open them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from realbogus.sources.triplets import TripletConventions, TripletSource
from tasks.records.record_tables import RecordTables


def open_triplets(
    path: Path, *args: Any, conventions: TripletConventions | None = None, **kwargs: Any
) -> TripletSource:
    """Open triplets; arguments as of `TripletSource`."""
    known = replace(conventions or TripletConventions(), read_table=RecordTables())
    return TripletSource(path, *args, conventions=known, **kwargs)
