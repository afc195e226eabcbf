"""The page and the timeline of decisions: every row is there, its figures are short, faults come first."""

import io
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.decisions.decision_runs import numbers_of
from tasks.decisions.decisions_page import COLUMNS, table_rows, write_decisions_page
from tasks.decisions.ledger import append, ledger_folder, read_ledger
from tasks.decisions.timeline import champion_timeline, version_of
from tasks.runtime.workspace import Workspace
from tests.test_tasks.decisions.test_ledger import decided, temporary

FIGURES = {
    "ratio": 0.57,
    "ratio_low": 0.44,
    "ratio_high": 0.72,
    "passed": True,
    "missing": None,
    "strata": [{"name": "faint", "count": 311}],
}


def page_of(workspace: Workspace) -> str:
    return write_decisions_page(workspace).read_text(encoding="utf-8")


def test_the_page_has_every_row_newest_first_and_a_figure_a_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for number in range(60):
        append(workspace, decided(number, night=None, name=("realbogus", "galaxy-deck-3")[number % 2], figures=FIGURES))
    page = page_of(workspace)
    shown = [int(number) for number in re.findall(r'<th scope="row" class="number">(\d+)</th>', page)]
    even, odd = list(range(60, 0, -2)), list(range(59, 0, -2))
    assert shown == [*even, *even, *odd, *odd]
    assert page.count("<figure>") == 2
    assert "ratio 0.57 (0.44 to 0.72); strata.0.count 311</td>" in page
    assert "Faults of the ledger" not in page
    assert read_ledger(workspace).decisions[-1].row_sha256[:8] in page


def test_faults_come_before_everything_else(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for number in range(3):
        append(workspace, decided(number))
    sorted(ledger_folder(workspace).glob("part-*"))[1].unlink()
    page = page_of(workspace)
    assert "row 2 of the ledger is missing" in page
    assert page.index("Faults of the ledger</h2>") < page.index('class="headlines"') < page.index("realbogus</h2>")


def test_the_cells_say_what_became_of_which_versions(tmp_path: Path) -> None:
    one, two = (f"models:/realbogus/{version}" for version in (1, 2))
    stories = [
        ({"kind": "first", "verdict": "RECORD", "champion_before": None, "challenger": None}, "none → 1"),
        ({"challenger": two}, "2 against 1"),
        ({"verdict": "PROMOTE", "challenger": two, "champion_after": two}, "1 → 2"),
        ({"kind": "accept", "verdict": "ACCEPT", "challenger": None}, "1"),
        ({"kind": "outside_gate", "verdict": "RECORD", "champion_after": None, "challenger": None}, "1 → none"),
    ]
    for changes, _ in stories:
        append(Workspace(tmp_path), decided(**{"champion_before": one, "champion_after": one, **changes}))
    rows = table_rows(read_ledger(Workspace(tmp_path)).decisions)[::-1]
    versions, verdicts = COLUMNS.index("versions"), COLUMNS.index("verdict")
    assert [str(row[versions]).replace("\xa0", " ") for row in rows] == [words for _, words in stories]
    assert [row[verdicts] for row in rows] == [
        "RECORD (first)",
        "HOLD (gate)",
        "PROMOTE (gate)",
        "ACCEPT",
        "RECORD (outside_gate)",
    ]


def test_numbers_of_nested_figures_have_dotted_names() -> None:
    assert dict(numbers_of(FIGURES)) == {"ratio": 0.57, "ratio_low": 0.44, "ratio_high": 0.72, "strata.0.count": 311}


addresses = st.none() | st.integers(1, 40).map(lambda version: f"models:/a-b.c/{version}")


@settings(max_examples=15)
@given(
    st.lists(st.tuples(addresses, addresses, st.sampled_from(["HOLD", "PROMOTE", "RECORD"])), min_size=1, max_size=8)
)
def test_a_timeline_is_drawn_whatever_was_decided(steps: list[tuple[str | None, str | None, str]]) -> None:
    drawn = champion_timeline(
        [decided(verdict=verdict, champion_after=after, challenger=about) for after, about, verdict in steps]
    )
    with Image.open(io.BytesIO(drawn.png)) as picture:
        assert picture.width > picture.height > 100


def test_a_page_is_written_whatever_the_rows_lack() -> None:
    with temporary() as workspace:
        append(workspace, decided(champion_before=None, champion_after=None, challenger=None, figures={}, digests={}))
        assert "no champion" in page_of(workspace)


def test_the_version_is_the_end_of_an_address() -> None:
    assert [version_of(text) for text in ("models:/galaxy-deck-3/12", None, "champion")] == [12, None, None]
