"""Parsers of foreign bytes hold against files that are nearly right, and the fuzzing finds what does not hold."""

from pathlib import Path

from tests.fuzz.parsers import PARSERS
from tests.fuzz.run import fuzz

INPUTS = 25
"""For each parser; `python -m tests.fuzz --inputs N` takes more."""


def test_no_parser_hangs_takes_all_memory_or_raises_what_names_nothing(tmp_path: Path) -> None:
    outcomes = fuzz(INPUTS, 5, tmp_path)
    assert [outcome.parser for outcome in outcomes] == [*PARSERS]
    for outcome in outcomes:
        assert outcome.defects == [], outcome
        assert outcome.inputs == outcome.refused + outcome.parsed == INPUTS, outcome
    assert sum(outcome.refused for outcome in outcomes) > INPUTS, "the mutations break files"


def test_what_does_not_hold_is_found_and_its_file_kept(tmp_path: Path) -> None:
    found = {one.parser: one for one in fuzz(10, 5, tmp_path, table="tests.fuzz.planted", limit_s=2)}
    (hung,), (raised,), (greedy,) = (found[name].defects for name in ("hanging", "raising", "greedy"))
    assert hung["defect"].startswith("no end within 2 s")
    assert raised["defect"].startswith("KeyError in tests/fuzz/planted.py:_raising")
    assert greedy["defect"].startswith("memory in tests/fuzz/planted.py:_greedy")
    assert (found["refusing"].defects, found["refusing"].inputs) == ([], 10)
    for defect in (hung, raised, greedy):
        assert Path(defect["file"]).read_bytes() != b"whole, with 1 number"
