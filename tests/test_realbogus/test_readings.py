"""Readings: what was understood, merged over inputs, and as text."""

from realbogus.readings import MOST_NOTES, Reading, merge_readings

ONE = Reading({"gain": "GAIN", "epoch": "MJD"}, ("a",), {"zero": 1}, ("careful",))
TWO = Reading({"gain": "EGAIN", "epoch": "MJD"}, ("a", "b"), {"zero": 2, "epoch": 0}, ("careful", "late"))


def test_readings_are_merged_name_by_name() -> None:
    merged = merge_readings([ONE, TWO, merge_readings([ONE, TWO])])
    assert merged.understood == {"gain": "EGAIN, GAIN", "epoch": "MJD"}
    assert (merged.ignored, merged.missing, merged.notes) == (("a", "b"), {"zero": 6, "epoch": 0}, ("careful", "late"))
    assert merge_readings([]) == Reading()


def test_a_reading_survives_its_text_and_a_summary_lists_what_is_missing() -> None:
    assert Reading.from_json(TWO.to_json()) == TWO
    summary = {"understood": dict(TWO.understood), "ignored": ["a", "b"], "missing": {"zero": 2}}
    assert TWO.to_summary() == summary | {"notes": ["careful", "late"]}


def test_a_prefix_keeps_two_tables_apart() -> None:
    under = ONE.under("known_objects")
    assert under.understood == {"known_objects.gain": "GAIN", "known_objects.epoch": "MJD"}
    assert (under.ignored, under.missing) == (("known_objects.a",), {"known_objects.zero": 1})


def test_many_notes_are_counted() -> None:
    merged = merge_readings([Reading(notes=tuple(f"note {number}" for number in range(MOST_NOTES + 3)))])
    assert len(merged.notes) == MOST_NOTES + 1
    assert merged.notes[-1] == "and 3 more"
