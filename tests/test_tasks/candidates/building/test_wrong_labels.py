"""Wrong labels planted into a night: which rows they are, and that nothing else changes."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tasks.candidates.building.wrong_labels import flip_labels


def staged(count: int) -> pa.Table:
    """Stored and rejected rows of both labels, each with a truth."""
    return pa.table(
        {
            "id": [f"s3-n0-c0-v0-{row:04d}" for row in range(count)],
            "status": ["rejected" if row % 5 == 0 else "stored" for row in range(count)],
            "label": [(None, "real", "bogus")[row % 3] for row in range(count)],
            "truth": ["real" if row % 2 else "bogus" for row in range(count)],
        }
    )


def flipped(table: pa.Table, fraction: float, seed: int) -> set[str]:
    after = flip_labels(table, fraction, seed)
    assert after.drop_columns(["label"]).equals(table.drop_columns(["label"]))
    changed = set()
    for row, label in zip(table.to_pylist(), after["label"].to_pylist(), strict=True):
        if label != row["label"]:
            assert {label, row["label"]} == {"real", "bogus"}
            assert row["status"] == "stored"
            changed.add(row["id"])
    return changed


def test_all_labels_of_stored_rows_are_flipped_at_one_and_none_at_zero() -> None:
    table = staged(60)
    labelled = {row["id"] for row in table.to_pylist() if row["label"] and row["status"] == "stored"}
    assert flipped(table, 1.0, 0) == labelled
    assert flip_labels(table, 0.0, 0) is table


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 50))
def test_a_smaller_fraction_flips_a_part_of_the_same_rows(first: float, second: float, seed: int) -> None:
    table = staged(40)
    less, more = sorted((first, second))
    assert flipped(table, less, seed) <= flipped(table, more, seed)


def test_the_fraction_is_met_and_depends_on_the_seed_not_on_the_order() -> None:
    table = staged(6000)
    labelled = sum(row["label"] is not None and row["status"] == "stored" for row in table.to_pylist())
    chosen = flipped(table, 0.2, 1)
    assert abs(len(chosen) / labelled - 0.2) < 4 * (0.2 * 0.8 / labelled) ** 0.5
    assert chosen == flipped(table.take(list(range(5999, -1, -1))), 0.2, 1)
    assert chosen != flipped(table, 0.2, 2)
