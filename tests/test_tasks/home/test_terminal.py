"""The state as text: every row is there, columns begin at one place, figures have their intervals."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.home.status import WorkspaceStatus
from tasks.home.status_reader import StatusReader
from tasks.home.terminal import aligned, status_text
from tasks.runtime.workspace import Workspace

WORD = st.text("abc", min_size=1, max_size=9)


@given(st.lists(st.tuples(WORD, WORD, WORD), min_size=1))
def test_each_column_begins_at_one_place(rows: list[tuple[str, str, str]]) -> None:
    lines = aligned(rows)
    starts = [max(len(row[0]) for row in rows) + 2]
    starts.append(starts[0] + max(len(row[1]) for row in rows) + 2)
    for line, row in zip(lines, rows, strict=True):
        assert (line[: starts[0]].rstrip(), line[starts[0] : starts[1]].rstrip(), line[starts[1] :]) == row


def test_every_row_is_there_with_its_figures(status: WorkspaceStatus) -> None:
    text = status_text(status)
    names = [f"{row.name}/{row.version}" for row in status.models.rows]
    names += [row.name for row in (*status.datasets.rows, *status.queues.rows, *status.disk.rows)]
    names += [row.file for row in status.reports.rows[:8]]
    assert [name for name in names if name not in text] == []
    for told in (
        "accuracy 0.333 (0.0615 to 0.792)",
        "challenger over champion 0.762 (0.61 to 0.94)",
        "153 delivered > 146 ingested > 144 scored > 8 selected (nan_plane 5, edge 2 rejected)",
        "drift: drifted; chip01 seeing: 4.1 instead of 3.4, effect 0.81 quiet spreads, p 2e-05",
        "gate: PROMOTE: realbogus/2; champion realbogus/2",
        "26 asked > 25 stored > 25 labelled deck-3 > 22 labelled deck-7",
        "realbogus/1 → realbogus/4",
        "3 of 20 answered  ann, bob",
        "prefect  not running; starloom up starts it",
    ):
        assert told in text


def test_an_empty_workspace_says_what_to_run_first(workspace: Workspace) -> None:
    text = status_text(StatusReader(workspace).read())
    assert "Nothing is here yet. Begin with: starloom demo" in text
    assert "No dataset was built. Run: starloom run build-galaxy-dataset" in text
