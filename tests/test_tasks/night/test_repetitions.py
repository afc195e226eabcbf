"""Candidates of a night that come again: kept once over all part files, refused where their stamps differ."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realbogus.records import SourceError
from tasks.night.repetitions import unique_parts
from tests.small_night import raw_scores


def write_parts(folder: Path, *parts: tuple[list[str], list[str]]) -> list[Path]:
    paths = []
    for number, (ids, stamps) in enumerate(parts):
        table = raw_scores([0.5] * len(ids), [2] * len(ids), block=number)
        table = table.set_column(0, "id", pa.array(ids)).set_column(3, "stamp_sha256", pa.array(stamps))
        paths.append(folder / f"part-{number:06d}.parquet")
        pq.write_table(table, paths[-1])
    return paths


def places(name: str, blocks: Sequence[int]) -> list[str]:
    return [f"{name} in {block}.avro" for block in blocks]


def test_the_first_of_an_id_stays_over_all_parts(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, (["b", "a", "b"], ["1", "2", "1"]), (["c"], ["3"]), (["a", "d"], ["2", "4"]))
    unique, repeated = unique_parts(parts, places)
    assert [pq.read_table(path)["id"].to_pylist() for path in unique] == [["b", "a"], ["c"], ["d"]]
    assert repeated == ["b", "a"]
    assert unique[1] == parts[1], "a part without repetitions is used as it is"
    assert pq.read_table(parts[0]).num_rows == 3, "the part itself stays, for an interrupted scoring"
    assert unique_parts(unique, places) == (unique, [])
    assert unique_parts([], places) == ([], [])


def test_different_stamps_of_one_id_are_refused_by_both_places(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, (["b", "a"], ["1", "2"]), (["a"], ["9"]))
    with pytest.raises(SourceError, match=r"id a comes twice with different pixels, in a in 0\.avro and a in 1\.avro"):
        unique_parts(parts, places)
