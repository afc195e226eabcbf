"""Samples seen in training are found by id, pixels or position."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.learning.training_overlap import (
    COLUMNS,
    SAME_PLACE_ARCSEC,
    TRAINING_SAMPLES_FILE,
    read_training_samples,
    seen_before,
)
from tasks.runtime.workspace import Workspace
from tasks.store import pixels, versions
from tasks.store.schema import SPLIT
from tests.small_ledgers import small_ledger


def samples(*rows: tuple[str, str | None, float | None, float | None]) -> pa.Table:
    types = (pa.string(), pa.string(), pa.float64(), pa.float64())
    columns = [pa.array([row[number] for row in rows], kind) for number, kind in enumerate(types)]
    return pa.table(columns, list(COLUMNS))


def test_an_id_pixels_or_a_position_is_enough() -> None:
    training = samples(("a", "pa", 10.0, 20.0), ("b", None, None, None))
    others = samples(
        ("a", "x", 50.0, 50.0),
        ("c", "pa", None, None),
        ("d", "y", 10.0, 20.0),
        ("b", None, None, None),
        ("e", None, None, None),
        ("f", "z", 11.0, 20.0),
    )
    assert seen_before(others, training).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize(("offset_arcsec", "expected"), [(0.0, True), (1.99, True), (2.01, False)])
def test_a_position_is_the_same_within_two_arcsec(offset_arcsec: float, expected: bool) -> None:
    assert SAME_PLACE_ARCSEC == 2.0
    training = samples(("a", "pa", 10.0, 60.0))
    by_dec = samples(("b", "pb", 10.0, 60.0 + offset_arcsec / 3600))
    by_ra = samples(("b", "pb", 10.0 + offset_arcsec / 3600 / np.cos(np.radians(60)), 60.0))
    over_zero = samples(("b", "pb", 360.0 + 10.0, 60.0 + offset_arcsec / 3600))
    for table in (by_dec, by_ra, over_zero):
        assert seen_before(table, training).tolist() == [expected]


def test_without_training_samples_or_positions_nothing_is_seen() -> None:
    table = samples(("a", "pa", 10.0, 20.0))
    assert seen_before(table, samples()).tolist() == [False]
    assert seen_before(table, samples(("b", None, None, None))).tolist() == [False]
    assert seen_before(samples(), table).tolist() == []


def test_training_samples_are_those_of_the_training_and_validation_parts(workspace: Workspace) -> None:
    assert TRAINING_SAMPLES_FILE == "members.parquet"
    folder = workspace.datasets / "tiny"
    pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8")
    table = small_ledger(["a", "b", "c"], row=[0, 1, 2], ra_deg=[1.0, 2.0, 3.0])
    split = pa.table([["a", "b", "c"], ["a", "b", "c"], ["train", "test", "validation"]], schema=SPLIT)
    first = versions.publish(folder, versions.NewVersion(table, {}, None, {"schemes": {}}), None)
    none = read_training_samples(first)
    assert (none.num_rows, none.column_names) == (0, list(COLUMNS))
    dataset = versions.publish(folder, versions.NewVersion(table, {}, split, {"schemes": {}}), first)
    assert read_training_samples(dataset).to_pydict() == {
        "id": ["a", "c"],
        "pixel_sha256": ["pa", "pc"],
        "ra_deg": [1.0, 3.0],
        "dec_deg": [None, None],
    }
