"""Tables of what was understood of the inputs, from a summary."""

from tasks.reports.page import Heading, Table, Text
from tasks.reports.understanding import understood_blocks


def test_every_quantity_is_listed_with_its_origin_and_what_lacks_it() -> None:
    summary = {
        "understood": {"time": "jd", "ra": "RA"},
        "missing": {"time": 2, "sign": 7},
        "ignored": ["vector (an array)"],
        "notes": ["t.csv: two epochs"],
    }
    heading, table, ignored, note = understood_blocks(summary, "rows")
    assert heading == Heading("What was understood of the inputs")
    assert table == Table(
        "Quantities",
        ("quantity", "taken from", "rows without it"),
        [("time", "jd", 2), ("ra", "RA", 0), ("sign", "nothing", 7)],
    )
    assert ignored == Text("Not read: vector (an array).")
    assert note == Text("t.csv: two epochs.")


def test_nothing_is_shown_where_nothing_was_read() -> None:
    assert understood_blocks({}, "rows") == []
    assert understood_blocks({"understood": {}, "missing": {}, "ignored": []}, "rows") == []


def test_columns_that_were_kept_or_ignored_for_a_reason_are_a_table() -> None:
    summary = {
        "understood": {"id": "objID"},
        "ignored": ["id", "RAd"],
        "kept": ["my_class", "bar"],
        "why_ignored": {"read from another": ["id", "RAd"]},
    }
    *_, others = understood_blocks(summary, "rows")
    rows = [("kept as text", "my_class, bar"), ("ignored: read from another", "id, RAd")]
    assert others == Table("Other columns", ("what was done", "columns"), rows)
