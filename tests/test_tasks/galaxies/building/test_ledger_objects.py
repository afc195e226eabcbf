"""A ledger beside a catalogue: it fills in what is missing and nothing else."""

import pyarrow as pa
import pytest

from galaxy.catalogue.errors import CatalogueError
from tasks.galaxies.building.ledger_objects import complete_catalogue, require_shared_ids

LEDGER = pa.table({"id": ["a", "b"], "ra_deg": [1.0, 2.0], "redshift": pa.array([0.1, None], pa.float64())})


def test_missing_values_are_the_ledgers_and_given_ones_stay() -> None:
    table = pa.table(
        {"id": ["c", "b", "a"], "ra_deg": pa.array([9.0, None, 8.0], pa.float32()), "look": ["x", "y", "z"]}
    )
    complete = complete_catalogue(table, LEDGER)
    assert complete.to_pydict() == {
        "id": ["c", "b", "a"],
        "ra_deg": [9.0, 2.0, 8.0],
        "look": ["x", "y", "z"],
        "redshift": [None, None, 0.1],
    }
    assert complete.schema.field("ra_deg").type == pa.float32()


def test_a_catalogue_of_other_objects_is_refused() -> None:
    require_shared_ids(pa.table({"id": ["b", "x"]}), LEDGER, "cat", "sky")
    with pytest.raises(CatalogueError, match=r"none of the 1 objects of catalogue cat is in dataset 'sky'.*'x'.*'a'"):
        require_shared_ids(pa.table({"id": ["x"]}), LEDGER, "cat", "sky")
