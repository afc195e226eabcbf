"""Small sources of triplets, and opening them with the table of synonyms, as the flows do."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from realbogus.sources.triplets import TripletConventions, TripletSource
from tasks.records.record_tables import RecordTables


def open_triplets(
    path: Path, *args: Any, conventions: TripletConventions | None = None, **kwargs: Any
) -> TripletSource:
    """Open triplets; arguments as of `TripletSource`."""
    known = replace(conventions or TripletConventions(), read_table=RecordTables())
    return TripletSource(path, *args, conventions=known, **kwargs)


def write_triplets(folder: Path, count: int) -> Path:
    """Write triplets of noise, ids ``t0``, ``t1``, ..., and return their folder."""
    folder.mkdir()
    np.save(folder / "stamps.npy", np.random.default_rng(0).normal(size=(count, 29, 29, 3)).astype(np.float32))
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "label"])
        writer.writerows((f"t{number}", number % 2) for number in range(count))
    return folder
