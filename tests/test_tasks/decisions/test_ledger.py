"""The ledger of decisions: what was appended is read back, and what was changed, taken out or torn is named."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.decisions.decision import Decision, Kind, Verdict
from tasks.decisions.ledger import Ledger, append, decisions_folder, ledger_folder, newest_rows, read_ledger
from tasks.decisions.ledger_rows import SCHEMA, LedgerError, LedgerRow
from tasks.runtime.workspace import Workspace

EVENING = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


def decided(number: int = 0, **more: Any) -> Decision:
    values: dict[str, Any] = {
        "at": EVENING + timedelta(days=number),
        "name": "realbogus",
        "kind": "gate",
        "verdict": "HOLD",
        "by": "nightly-retrain",
        "reasons": (f"night {number} gave no evidence",),
        "night": f"2026-12-{number + 1:02d}",
        "champion_before": "models:/realbogus/1",
        "champion_after": "models:/realbogus/1",
        "challenger": f"models:/realbogus/{number + 2}",
        "figures": {"fpr": 0.01 * number, "strata": [{"name": "faint", "count": number}]},
        "digests": {"holdout": "ab" * 32},
    }
    return Decision(**(values | more))


def as_decision(row: LedgerRow) -> Decision:
    return Decision(**{each.name: getattr(row, each.name) for each in fields(Decision)})


@contextmanager
def temporary() -> Iterator[Workspace]:
    """A workspace for one example: a fixture would be shared by all of them."""
    with tempfile.TemporaryDirectory() as folder:
        yield Workspace(Path(folder))


def filled(workspace: Workspace, count: int) -> list[LedgerRow]:
    return [append(workspace, decided(number)) for number in range(count)]


def parts(workspace: Workspace) -> list[Path]:
    return sorted(ledger_folder(workspace).glob("part-*"))


def sequences(ledger: Ledger) -> list[int]:
    return [row.sequence for row in ledger.decisions]


texts = st.text(min_size=1).filter(lambda text: bool(text.strip()))
optional = st.none() | texts
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
figures = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
zones = st.sampled_from([UTC, timezone(timedelta(hours=9))])
decisions = st.builds(
    Decision,
    at=st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1), timezones=zones),
    name=texts,
    kind=st.sampled_from(get_args(Kind)),
    verdict=st.sampled_from(get_args(Verdict)),
    by=texts,
    reasons=st.lists(texts, min_size=1, max_size=3).map(tuple),
    night=st.none() | st.dates().map(lambda day: day.isoformat()),
    champion_before=optional,
    champion_after=optional,
    challenger=optional,
    figures=st.dictionaries(st.text(), figures, max_size=3),
    digests=st.dictionaries(st.text(), texts, max_size=3),
)


@settings(max_examples=25)
@given(st.lists(decisions, min_size=1, max_size=5))
def test_what_is_appended_is_read_back_in_its_order_whatever_the_clock(appended: list[Decision]) -> None:
    appended = [replace(one, at=one.at.replace(year=2000 + number)) for number, one in enumerate(appended)]
    with temporary() as workspace:
        rows = [append(workspace, one) for one in appended]
        ledger = read_ledger(workspace)
    assert [as_decision(row) for row in ledger.decisions] == appended
    assert ledger.decisions == rows
    assert sequences(ledger) == list(range(1, len(appended) + 1))
    assert ledger.faults == []


@settings(max_examples=25)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=6))
def test_a_clock_that_went_back_is_said_by_the_row_and_the_ledger(minutes: list[int]) -> None:
    with temporary() as workspace:
        for minute in minutes:
            append(workspace, decided(at=EVENING + timedelta(minutes=minute)))
        ledger = read_ledger(workspace)
    back = [later < before for before, later in pairwise(minutes)]
    said = [any(reason.startswith("the clock went back: ") for reason in row.reasons) for row in ledger.decisions]
    assert said == [False, *back]
    assert len(ledger.faults) == sum(back)
    assert all(fault.startswith("the clock went back before row ") for fault in ledger.faults)
    assert ledger.damage == []
    assert sequences(ledger) == list(range(1, len(minutes) + 1))


def test_a_row_names_itself_and_the_one_before_by_the_sha256_of_its_canonical_json(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    filled(workspace, 3)
    table = pq.read_table(ledger_folder(workspace))
    assert table.schema.equals(SCHEMA)
    assert table.equals(read_ledger(workspace).table)
    before = None
    for row in table.to_pylist():
        assert row["previous_sha256"] == before
        before = row.pop("row_sha256")
        row["at"] = row["at"].isoformat(timespec="microseconds")
        written = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(written.encode()).hexdigest() == before
    assert json.loads(table["figures"][1].as_py()) == {"fpr": 0.01, "strata": [{"name": "faint", "count": 1}]}


def test_an_append_changes_no_part_and_adds_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    seen: dict[Path, bytes] = {}
    for number in range(4):
        append(workspace, decided(number))
        content = {path: path.read_bytes() for path in parts(workspace)}
        assert seen.items() <= content.items()
        assert len(content) == len(seen) + 1
        seen = content


def test_the_rows_of_one_name_are_read_alone_and_faults_of_all(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for number, name in enumerate(["realbogus", "galaxy-deck-3", "realbogus"]):
        append(workspace, decided(number, name=name))
    parts(workspace)[1].unlink()
    ledger = read_ledger(workspace, "realbogus")
    assert sequences(ledger) == [1, 3]
    assert ledger.table["sequence"].to_pylist() == [1, 3]
    assert ledger.faults == ["row 2 of the ledger is missing"]


def test_an_empty_ledger_has_no_rows_and_no_faults(tmp_path: Path) -> None:
    ledger = read_ledger(Workspace(tmp_path))
    assert (ledger.decisions, ledger.table.num_rows, ledger.faults) == ([], 0, [])


@pytest.fixture(scope="module")
def five_rows(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Five rows, which tests copy."""
    workspace = Workspace(tmp_path_factory.mktemp("five"))
    filled(workspace, 5)
    return workspace


@contextmanager
def copied(original: Workspace) -> Iterator[Workspace]:
    with temporary() as workspace:
        shutil.copytree(decisions_folder(original), decisions_folder(workspace))
        yield workspace


@settings(max_examples=25)
@given(st.integers(0, 4), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_of_a_part_is_named_and_the_other_rows_stand(
    five_rows: Workspace, part: int, place: float, change: int
) -> None:
    with copied(five_rows) as workspace:
        path = parts(workspace)[part]
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= change
        path.write_bytes(content)
        ledger = read_ledger(workspace)
        assert sequences(ledger) == [number for number in range(1, 6) if number != part + 1]
        assert len(ledger.faults) == 1
        assert ledger.faults[0].startswith(f"{path} is torn or was changed")
        append(workspace, decided(9))
        after = read_ledger(workspace)
    assert after.faults == ledger.faults
    assert sequences(after)[-1] == 6


@settings(max_examples=20)
@given(st.integers(0, 4), st.floats(0, 1, exclude_max=True))
def test_a_part_that_is_cut_short_is_named_and_appended_behind(five_rows: Workspace, part: int, share: float) -> None:
    with copied(five_rows) as workspace:
        path = parts(workspace)[part]
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        row = append(workspace, decided(9))
        ledger = read_ledger(workspace)
    assert row.sequence == 6
    assert sequences(ledger) == [number for number in range(1, 7) if number != part + 1]
    assert [fault.partition(" is torn")[0] for fault in ledger.faults] == [str(path)]


@given(st.sets(st.integers(1, 5), min_size=1))
def test_deleted_parts_are_missed_also_at_the_end_and_after_an_append(five_rows: Workspace, gone: set[int]) -> None:
    with copied(five_rows) as workspace:
        for path in parts(workspace):
            if int(path.name.split("-")[1]) in gone:
                path.unlink()
        for appended in (0, 1):
            ledger = read_ledger(workspace)
            assert sequences(ledger) == [number for number in range(1, 6 + appended) if number not in gone]
            assert missing_rows(ledger.faults) == gone
            append(workspace, decided(9))


def missing_rows(faults: list[str]) -> set[int]:
    found: set[int] = set()
    for fault in faults:
        assert fault.endswith((" of the ledger is missing", " of the ledger are missing"))
        numbers = [int(word) for word in fault.split() if word.isdigit()]
        found |= set(range(numbers[0], numbers[-1] + 1))
    return found


def rewritten(path: Path, **changes: Any) -> None:
    """Replace a part by one that its name fits, as someone would who knows the format."""
    table = pq.read_table(path)
    for name, value in changes.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), [[value]])
    pq.write_table(table, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    path.rename(path.with_name(f"{path.name.rpartition('-')[0]}-{digest}.parquet"))


def test_a_row_that_was_rewritten_does_not_match_its_digest(five_rows: Workspace) -> None:
    with copied(five_rows) as workspace:
        rewritten(parts(workspace)[2], verdict="PROMOTE")
        ledger = read_ledger(workspace)
        assert sequences(ledger) == [1, 2, 4, 5]
        assert len(ledger.faults) == 1
        assert "row 3 was changed, its digest does not match" in ledger.faults[0]


@pytest.mark.parametrize("sequence", [1, 3, 5])
def test_a_row_that_was_replaced_with_a_digest_of_its_own_breaks_the_chain(five_rows: Workspace, sequence: int) -> None:
    with copied(five_rows) as workspace, temporary() as other:
        for number in range(sequence):
            append(other, decided(number, verdict="REJECT" if number == sequence - 1 else "HOLD"))
        parts(workspace)[sequence - 1].unlink()
        forged = parts(other)[sequence - 1]
        shutil.copy(forged, ledger_folder(workspace) / forged.name)
        ledger = read_ledger(workspace)
        expected = {
            1: ["row 2 does not follow row 1: one of them was replaced"],
            3: ["row 4 does not follow row 3: one of them was replaced"],
            5: ["row 5 is not the one that was written: head.json has another digest"],
        }
        assert ledger.faults == expected[sequence]
        append(workspace, decided(9))
        if sequence == 5:
            assert read_ledger(workspace).faults == ["row 6 does not follow row 5: one of them was replaced"]


def test_what_is_no_part_is_named(five_rows: Workspace) -> None:
    with copied(five_rows) as workspace:
        first = parts(workspace)[0]
        renamed = first.with_name(first.name.replace("part-000001", "part-000007"))
        shutil.copy(first, renamed)
        shutil.copy(first, first.with_name("backup.parquet"))
        ledger = read_ledger(workspace)
        assert sequences(ledger) == [1, 2, 3, 4, 5]
        other = first.with_name(f"part-000008-{hashlib.sha256(b'text').hexdigest()[:16]}.parquet")
        other.write_bytes(b"text")
        assert any(f"{other} is no Parquet" in fault for fault in read_ledger(workspace).faults)
        assert any("backup.parquet is no part of the ledger" in fault for fault in ledger.faults)
        assert any(f"{renamed.name} holds row 1, and is left out" in fault for fault in ledger.faults)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"sequence": 5}'])
def test_a_lost_or_torn_end_is_said_and_made_again_by_the_next_row(five_rows: Workspace, content: str | None) -> None:
    with copied(five_rows) as workspace:
        head = decisions_folder(workspace) / "head.json"
        head.unlink() if content is None else head.write_text(content)
        ledger = read_ledger(workspace)
        assert sequences(ledger) == [1, 2, 3, 4, 5]
        assert [str(head) in fault for fault in ledger.faults] == [True]
        append(workspace, decided(9))
        assert read_ledger(workspace).faults == []


def test_a_process_that_dies_between_part_and_end_leaves_no_fault(five_rows: Workspace) -> None:
    with copied(five_rows) as workspace:
        head = decisions_folder(workspace) / "head.json"
        before = head.read_bytes()
        row = append(workspace, decided(9))
        head.write_bytes(before)
        (ledger_folder(workspace) / ".part-000007-0123456789abcdef.parquet.1.part").write_bytes(b"half")
        assert read_ledger(workspace).faults == []
        assert append(workspace, decided(10)).previous_sha256 == row.row_sha256
        assert [path.name for path in ledger_folder(workspace).iterdir() if path.name.startswith(".")] == []


APPENDING = """
import sys
from itertools import pairwise
from pathlib import Path
from tests.test_tasks.decisions.test_ledger import decided
from tasks.decisions.ledger import append
from tasks.runtime.workspace import Workspace

for number in range(12):
    append(Workspace(Path(sys.argv[1])), decided(by=sys.argv[2], reasons=(f"row {number}",)))
"""


def test_four_processes_append_one_chain(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", APPENDING, str(tmp_path), f"writer {number}"], cwd=root)
        for number in range(4)
    ]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        ledger = read_ledger(Workspace(tmp_path))  # a reader meets no half-written row
        assert ledger.faults == []
        assert len(ledger.decisions) >= seen
        seen = len(ledger.decisions)
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    ledger = read_ledger(Workspace(tmp_path))
    assert ledger.faults == []
    assert sequences(ledger) == list(range(1, 49))
    for number in range(4):
        own = [row.reasons[0] for row in ledger.decisions if row.by == f"writer {number}"]
        assert own == [f"row {order}" for order in range(12)]


def test_numbers_that_are_not_finite_are_null_and_those_of_numpy_are_numbers(tmp_path: Path) -> None:
    figures = {"a": math.nan, "b": [math.inf, np.float32(0.5)], "c": {"d": np.int64(3), "e": (True, np.bool_(False))}}
    append(Workspace(tmp_path), decided(figures=figures))
    (row,) = read_ledger(Workspace(tmp_path)).decisions
    assert row.figures == {"a": None, "b": [None, 0.5], "c": {"d": 3, "e": [True, False]}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "guess"}, "kind='guess' of a decision is none of first, gate, "),
        ({"verdict": "promote"}, "verdict='promote' of a decision is none of PROMOTE, "),
        ({"reasons": ()}, r"has the reasons \(\): state why"),
        ({"reasons": ("good", " ")}, "state why"),
        ({"by": ""}, "by='' of a decision is empty"),
        ({"name": " "}, "name=' ' of a decision is empty"),
        ({"at": datetime(2026, 11, 28)}, "has no time zone"),
        ({"night": "20261128"}, "night='20261128' is no date"),
        ({"night": "2026-02-30"}, "night='2026-02-30' is no date"),
        ({"figures": {"a": [object()]}}, r"figures\.a\[0\] of a decision is of type object"),
        ({"figures": {1: 2}}, r"figures of a decision has keys that are no text: \[1\]"),
        ({"reasons": ("\udcff",)}, r"reasons\[0\]='\\udcff' of a decision is no Unicode text"),
    ],
)
def test_what_cannot_be_a_row_is_refused_by_name_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LedgerError, match=message):
        append(Workspace(tmp_path), decided(**changes))
    assert read_ledger(Workspace(tmp_path)).decisions == []
    assert parts(Workspace(tmp_path)) == []


def test_a_row_is_a_decision_with_its_place_in_the_chain(tmp_path: Path) -> None:
    row = append(Workspace(tmp_path), decided(3))
    assert isinstance(row, Decision)
    own = {"sequence": 1, "previous_sha256": None, "row_sha256": row.row_sha256}
    assert asdict(row) == asdict(decided(3)) | own


def test_the_newest_rows_are_the_ends_of_the_whole_ledger_and_name_a_torn_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert newest_rows(workspace, 3) == ([], [])
    rows = filled(workspace, 12)
    assert newest_rows(workspace, 3) == (rows[:-4:-1], [])
    parts(workspace)[-2].write_bytes(b"")
    newest, (damage,) = newest_rows(workspace, 3)
    assert newest == [rows[-1], rows[-3]]
    assert "part-000011" in damage
