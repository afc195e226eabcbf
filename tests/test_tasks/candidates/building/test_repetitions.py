"""Candidates that come more than once: one of them stays, different ones under one id are refused by their places."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from realbogus.records import SourceError
from tasks.candidates.building.repetitions import drop_repeated


def staged(rows: Sequence[tuple[str, str, str | None, str | None, int | None]]) -> pa.Table:
    names = ("id", "status", "pixel_sha256", "label", "staged_batch")
    kinds = (pa.string(), pa.string(), pa.string(), pa.string(), pa.int32())
    columns = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(kinds)]
    return pa.table(columns, names)


def places(sample_id: str, batches: Sequence[int]) -> list[str]:
    return [f"{sample_id} of file {number}" for number in batches]


def test_a_row_that_comes_again_with_its_pixels_is_dropped() -> None:
    table = staged(
        [
            ("b", "stored", "p1", "real", 0),
            ("a", "stored", "p2", None, 0),
            ("b", "stored", "p1", "real", 3),
            ("b", "stored", "p1", "real", 4),
        ]
    )
    kept, repeated = drop_repeated(table, places)
    assert (kept["id"].to_pylist(), kept["staged_batch"].to_pylist()) == (["b", "a"], [0, 0])
    assert repeated == ["b", "b"]
    assert drop_repeated(kept, places) == (kept, [])


def test_a_stored_row_stays_before_a_rejected_one() -> None:
    table = staged(
        [("a", "rejected", None, None, None), ("a", "stored", "p", None, 1), ("c", "rejected", None, None, None)]
    )
    kept, repeated = drop_repeated(pa.concat_tables([table, table.slice(2)]), places)
    assert kept["status"].to_pylist() == ["stored", "rejected"]
    assert repeated == ["a", "c"]


@pytest.mark.parametrize(("pixels", "label", "what"), [("q", "real", "pixels"), ("p", "bogus", "labels")])
def test_different_rows_of_one_id_are_refused_by_both_places(pixels: str, label: str, what: str) -> None:
    table = staged([("a", "stored", "p", "real", 2), ("x", "stored", "z", None, 2), ("a", "stored", pixels, label, 5)])
    with pytest.raises(SourceError, match=f"id a comes twice with different {what}, in a of file 2 and a of file 5"):
        drop_repeated(table, places)
