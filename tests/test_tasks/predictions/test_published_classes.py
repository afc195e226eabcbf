"""Objects of a catalogue are found by id, else by position, each for one prediction."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.predictions.published_classes import contradicted_ids, match_catalogue, read_published_classes
from tasks.tables.roles import ColumnRoleError
from tasks.tables.table_files import TableError

ARCSEC = 1 / 3600


def catalogue(*rows: tuple[str | None, float | None, float | None, str | None]) -> pa.Table:
    names = ("id", "ra", "dec", "class")
    kinds = (pa.string(), pa.float64(), pa.float64(), pa.string())
    return pa.table({name: pa.array([row[at] for row in rows], kinds[at]) for at, name in enumerate(names)})


def predictions(*rows: tuple[str, float | None, float | None]) -> pa.Table:
    return pa.table(
        {
            "id": [row[0] for row in rows],
            "ra_deg": pa.array([row[1] for row in rows], pa.float64()),
            "dec_deg": pa.array([row[2] for row in rows], pa.float64()),
        }
    )


def test_an_id_goes_before_a_position_and_a_row_is_found_once() -> None:
    published = catalogue(("a", 10.0, 0.0, "E"), (None, 20.0, 60.0, "S"), ("c", None, None, "E"), ("a", 1.0, 1.0, "S"))
    asked = predictions(
        ("a", 20.0, 60.0),  # its id is elsewhere than its position
        ("c", None, None),
        ("x", 10.0 + ARCSEC, 0.0),  # the row of id a
        ("y", 20.0, 60.0 + 1.5 * ARCSEC),
        ("z", 20.0 + 1.0 * ARCSEC, 60.0),  # half an arcsec away at this declination
        ("far", 20.0, 60.0 + 2.5 * ARCSEC),
    )
    match = match_catalogue(asked, published, 2.0)
    assert match.rows.tolist() == [0, 2, -1, -1, 1, -1]
    assert match.by_id.tolist() == [True, True, False, False, False, False]
    assert match.taken.tolist() == [False, False, True, True, False, False]
    wide = match_catalogue(asked.slice(5), published, 3.0)
    assert wide.rows.tolist() == [1]


def test_a_catalogue_without_ids_or_without_positions_is_matched_by_the_other() -> None:
    asked = predictions(("a", 359.9999, 0.0), ("b", None, None))
    assert match_catalogue(asked, catalogue((None, 0.0001, 0.0, "E")), 2.0).rows.tolist() == [0, -1]
    assert match_catalogue(asked, catalogue(("b", None, None, "E")), 2.0).rows.tolist() == [-1, 0]
    assert match_catalogue(asked, catalogue(), 2.0).rows.tolist() == [-1, -1]


def test_rows_of_one_id_that_differ_in_class_are_listed() -> None:
    rows = catalogue(("a", None, None, "E"), ("a", None, None, "S"), ("b", None, None, "E"), ("b", None, None, "E"))
    assert contradicted_ids(rows).to_pylist() == ["a"]


def test_a_table_is_read_by_the_names_that_archives_use_with_its_units_and_exact_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "dr7objid,RAJ2000,DEJ2000,ML2classes,K\n587722952767439450,10.5,-1,S,3\n587722952767439451,,,--,9\n"
    )
    published = read_published_classes(path, {"class": "ml2CLASSES"})
    assert published.rows.to_pylist() == [
        {"id": "587722952767439450", "ra": 10.5, "dec": -1.0, "class": "S"},
        {"id": "587722952767439451", "ra": None, "dec": None, "class": None},
    ]
    assert published.understood == {"id": "dr7objid", "ra": "RAJ2000", "dec": "DEJ2000", "class": "ML2classes"}
    other = read_published_classes(path, {"class": "K", "id": "ML2classes"})
    assert other.rows["id"].to_pylist() == ["S", None]
    assert other.rows["class"].to_pylist() == ["3", "9"]


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name_of_it,kind\na,E\n")
    with pytest.raises(ColumnRoleError, match=r"names no column of classes .* it has name_of_it, kind"):
        read_published_classes(path, {})
    with pytest.raises(ColumnRoleError, match=r"names 'type' for class, which table .* lacks; it has name_of_it, kind"):
        read_published_classes(path, {"class": "type"})
    with pytest.raises(ColumnRoleError, match="has neither ids nor positions"):
        read_published_classes(path, {"class": "kind"})
    with pytest.raises(ColumnRoleError, match="role 'klass'"):
        read_published_classes(path, {"class": "kind", "klass": "kind"})
    damaged = tmp_path / "t.parquet"
    pq.write_table(pa.table({"objid": [5.877e17], "kind": ["E"]}), damaged)
    with pytest.raises(TableError, match="floating point"):
        read_published_classes(damaged, {"class": "kind"})
