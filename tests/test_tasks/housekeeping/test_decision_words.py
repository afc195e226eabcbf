"""What decisions and holdouts name: every part is read, and one that cannot be is named and hides no other."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.housekeeping.decision_words import read_named
from tasks.runtime.workspace import Workspace


def write_rows(path: Path, *rows: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_a_workspace_without_decisions_names_nothing(workspace: Workspace) -> None:
    named = read_named(workspace)
    assert (named.ledger, named.holdouts, named.torn) == (set(), set(), [])
    assert not workspace.root.exists()


@pytest.mark.parametrize(
    "parts", [("ledger.parquet",), ("ledger.parquet/part-0.parquet", "ledger.parquet/a/b.parquet")]
)
def test_a_ledger_is_read_as_one_file_and_as_a_folder_of_parts(workspace: Workspace, parts: tuple[str, ...]) -> None:
    for number, part in enumerate(parts):
        write_rows(
            workspace.root / "decisions" / part, {"champion": f"models:/realbogus/{number}"}, {"champion": "x@7"}
        )
    named = read_named(workspace)
    assert {"x@7", *(f"realbogus@{number}" for number in range(len(parts)))} <= named.ledger
    assert (named.holdouts, named.torn) == (set(), [])


def test_what_is_being_written_is_no_decision_yet(workspace: Workspace) -> None:
    folder = workspace.root / "decisions"
    write_rows(folder / "ledger.parquet" / "part-0.parquet", {"champion": "a@1"})
    write_rows(folder / "ledger.parquet" / ".part-1.parquet", {"champion": "b@1"})
    (folder / "ledger.parquet" / "note.txt").write_text("c@1")
    (folder / "holdouts").mkdir()
    (folder / "holdouts" / ".h.json").write_text("{")
    named = read_named(workspace)
    assert "a@1" in named.ledger
    assert not {"b@1", "c@1"} & named.ledger
    assert named.torn == []


def test_each_part_that_cannot_be_read_is_named_and_the_others_are_read(workspace: Workspace) -> None:
    ledger, holdouts = workspace.root / "decisions" / "ledger.parquet", workspace.root / "decisions" / "holdouts"
    for name in ("0", "1", "2"):
        write_rows(ledger / f"part-{name}.parquet", {"champion": f"galaxy-{name}@1"})
    whole = (ledger / "part-1.parquet").read_bytes()
    (ledger / "part-1.parquet").write_bytes(whole[:-20])
    holdouts.mkdir()
    for name, text in (("a", '{"dataset": "sky@3"}'), ("b", "{"), ("c", '{"dataset": "sky@4"}')):
        (holdouts / f"{name}.json").write_text(text)
    (holdouts / "d.json").write_bytes(b"\xff")
    named = read_named(workspace)
    assert {"galaxy-0@1", "galaxy-2@1"} <= named.ledger
    assert {"sky@3", "sky@4"} <= named.holdouts
    assert not named.ledger & {"sky@3", "galaxy-1@1"}
    damaged = [ledger / "part-1.parquet", holdouts / "b.json", holdouts / "d.json"]
    assert [str(path) in problem for path, problem in zip(damaged, named.torn, strict=True)] == [True] * 3


def test_a_version_in_json_inside_of_a_column_is_named(workspace: Workspace) -> None:
    digests = json.dumps({"models": [{"champion": "models:/realbogus/2"}]})
    write_rows(workspace.root / "decisions" / "ledger.parquet", {"digests": digests})
    assert "realbogus@2" in read_named(workspace).ledger
