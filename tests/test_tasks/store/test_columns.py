"""Columns as arrays, and alignment by id."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tasks.store.columns import align_column, align_rows, drop_ids, positions_of, select_ids, to_bool, to_float, to_text


def test_null_is_nan_in_numbers_of_any_type():
    for column in (pa.array([3, None, -1], pa.int32()), pa.chunked_array([[3.0], [None, -1.0]])):
        values = to_float(column)
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, [3.0, np.nan, -1.0])
    np.testing.assert_array_equal(to_float(pa.array([True, False, None])), [1.0, 0.0, np.nan])


def test_null_is_false_in_booleans_and_empty_in_text():
    flags = to_bool(pa.chunked_array([[True, None], [False]]))
    assert flags.dtype == np.bool_
    assert flags.tolist() == [True, False, False]
    words = to_text(pa.array(["a", None, "long word"]))
    assert words.dtype.kind == "U"
    assert words.tolist() == ["a", "", "long word"]
    assert to_text(pa.array([], pa.string())).dtype.kind == "U"


def test_a_column_and_rows_follow_the_ids_and_are_null_where_an_id_is_absent():
    table = pa.table({"id": ["a", "b", "c"], "value": [1, 2, 3]})
    assert align_column(table, "value", ["c", "x", "a", "c"]).to_pylist() == [3, None, 1, 3]
    assert align_column(table, "value", pa.array(["b"])).to_pylist() == [2]
    rows = align_rows(table, pa.chunked_array([["c"], ["a"]]))
    assert rows.to_pydict() == {"id": ["c", "a"], "value": [3, 1]}
    assert align_rows(table, ["x"]).to_pydict() == {"id": [None], "value": [None]}
    assert align_rows(table, []).num_rows == 0


def test_the_first_of_rows_with_the_same_key_counts():
    table = pa.table({"group": ["g", "h", "g"], "part": ["train", "test", "validation"]})
    assert align_column(table, "part", ["h", "g"], key="group").to_pylist() == ["test", "train"]


def test_rows_are_selected_and_dropped_by_id_in_their_order():
    table = pa.table({"id": ["c", "a", "b", "c"], "value": [1, 2, 3, 4]})
    for ids in (["c", "a", "x"], pa.chunked_array([["a"], ["c"]])):
        assert select_ids(table, ids)["value"].to_pylist() == [1, 2, 4]
        assert drop_ids(table, ids)["value"].to_pylist() == [3]
    assert select_ids(table, []).num_rows == 0
    assert drop_ids(table, []).num_rows == 4


def test_positions_of_absent_ids_are_minus_one():
    positions = positions_of(["b", "x", "a"], pa.chunked_array([["a"], ["b"]]))
    assert positions.dtype == np.int64
    assert positions.tolist() == [1, -1, 0]


@given(st.permutations([str(number) for number in range(12)]), st.integers(1, 11))
def test_alignment_inverts_a_permutation_whatever_the_chunks(order, cut):
    table = pa.table({"id": order, "number": [int(name) for name in order]})
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    ids = [str(number) for number in range(12)]
    assert align_column(chunked, "number", ids).to_pylist() == list(range(12))
    assert align_rows(chunked, ids)["id"].to_pylist() == ids
    assert [order[position] for position in positions_of(ids, order)] == ids
