"""Rates of nights that people judged: of the nights with a verdict, by model, and as a section of the nights' page."""

import numpy as np
import pytest

from tasks.decisions.labelling_queue import Decided, QueueError, QueueSettings, build_queue, write_queue
from tasks.nightly.judged_rates import judged_rates, judged_section
from tasks.reports.page import Table, Text
from tasks.runtime.workspace import Workspace

ROWS = 40
IDS = [f"c{row:02d}" for row in range(ROWS)]
IS_REAL = np.arange(ROWS) % 4 == 0
"""Ten real candidates."""


def decided(selected: np.ndarray, classes: tuple[str, str] = ("bogus", "real")) -> Decided:
    return Decided(selected.astype(float), np.array(classes)[selected.astype(int)])


def judge(workspace: Workspace, night: str, name: str = "realbogus", verdicts: bool = True) -> None:
    """The champion is right; the challenger misses one real and selects three bogus. All rows are asked for."""
    other = IS_REAL.copy()
    other[[0, 1, 2, 3]] = [False, True, True, True]
    settings = QueueSettings(share=1, most_random=ROWS)
    queue = build_queue(IDS, IDS, decided(IS_REAL), decided(other), settings, night)
    sheet = write_queue(workspace, name, night, queue).with_suffix(".csv")
    if verdicts:
        truth = dict(zip(IDS, np.where(IS_REAL, "real", "bogus").tolist(), strict=True))
        first, *lines = sheet.read_text().splitlines()
        sheet.write_text("\n".join([first, *(f"{line}{truth[line.split(',')[0]]}" for line in lines)]) + "\n")


def test_rates_are_those_of_the_night_for_each_model(workspace: Workspace) -> None:
    judge(workspace, "2026-11-20")
    judge(workspace, "2026-11-21", verdicts=False)
    judge(workspace, "2026-11-22")
    rates = judged_rates(workspace, "realbogus", ["bogus", "real"])
    assert list(rates) == ["2026-11-22", "2026-11-20"]
    newest = rates["2026-11-22"]
    assert (newest["rows"], newest["judged"], newest["positive_share"]) == (ROWS, ROWS, 0.25)
    assert (newest["champion"]["purity"], newest["champion"]["false_positive_rate"]) == (1, 0)
    challenger = newest["challenger"]
    assert challenger["true_positive_rate"] == pytest.approx(9 / 10)
    assert challenger["false_positive_rate"] == pytest.approx(3 / 30)
    assert challenger["purity"] == pytest.approx(9 / 12)
    assert challenger["error_rate"] == pytest.approx(4 / 40)


def test_the_section_has_a_line_for_each_model_and_is_left_out_without_verdicts(workspace: Workspace) -> None:
    assert judged_section(workspace, "realbogus", ["bogus", "real"]) == []
    judge(workspace, "2026-11-20")
    table = judged_section(workspace, "realbogus", ["bogus", "real"])[-1]
    assert isinstance(table, Table)
    assert [list(row)[:3] for row in table.rows] == [
        ["2026-11-20", "40 of 40", "champion"],
        ["2026-11-20", "40 of 40", "challenger"],
    ]
    assert str(list(table.rows[1])[3]).startswith("90.0% (")


def test_galaxies_have_the_error_rate_alone(workspace: Workspace) -> None:
    judge(workspace, "2026-11-20", name="galaxy-two")
    table = judged_section(workspace, "galaxy-two", ["bogus", "real"])[-1]
    assert isinstance(table, Table)
    assert list(table.columns) == ["night", "judged", "model", "error rate"]


def test_an_unknown_verdict_is_named(workspace: Workspace) -> None:
    judge(workspace, "2026-11-20")
    with pytest.raises(QueueError, match="has the verdict 'bogus' of c"):
        judged_rates(workspace, "realbogus", ["spiral", "real"])
    text = judged_section(workspace, "realbogus", ["spiral", "real"])[-1]
    assert isinstance(text, Text)
    assert "has the verdict 'bogus' of c" in text.text
