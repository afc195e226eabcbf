"""The page of a night: its counts, sentences and tables; the stamps of the best are read from their blocks alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.night.blocks import CandidateBlock
from tasks.night.models import ScoringRule
from tasks.night.report import (
    best_blocks,
    count_blocks,
    describe_cascade,
    night_answer,
    operations_blocks,
    probability_blocks,
    stamps_of,
    write_night_page,
)
from tasks.night.score_table import ScoredNight, complete_scores
from tasks.night.scoring import BY_FULL
from tasks.night.sources import ArrayNight
from tasks.reports.page import Figure, Heading, Headlines, Link, Table, Text
from tests.accessibility import require_accessible
from tests.browser import CHROMIUM, headless
from tests.small_night import SIDE, make_rule, make_stamps, raw_scores

DISCARD = {"threshold": -2.0, "full_threshold": 0.5, "lost": 1, "kept_by_full": 240, "lost_limit": 0.0123}
NO_OBJECTS: dict[str, Any] = {
    "detections": {"before": 1200, "after": 3},
    "objects": None,
    "recovered": None,
    "equal_recovery": [],
}


def best_of(logits: list[float], blocks: list[int]) -> pa.Table:
    table = complete_scores(raw_scores(logits, [BY_FULL] * len(logits)), make_rule(), 1.0)
    return table.append_column("block", pa.array(blocks, pa.int32()))


def scored(**changes: Any) -> ScoredNight:
    best = best_of([3.0, 2.0, 1.5], [1, 0, 1])
    night = ScoredNight(Path("scores/n.parquet"), 1200, 1190, 3, 700, {"edge": 7, "nan_plane": 3}, 1.5, "v1 1f", best)
    return replace(night, **changes)


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "model": "a",
        "threshold_version": "v1",
        "pixels": "simulated",
        "against": None,
        "operations": NO_OBJECTS,
        "cascade": {"first": None, "why": "no first model was requested"},
        "probabilities": None,
        **changes,
    }


def test_the_answer_has_the_candidates_the_objects_and_what_was_not_scored() -> None:
    assert night_answer(scored(), summary()).text == (
        "3 of 1,200 detections are candidates; 10 could not be scored (edge 7, nan_plane 3)."
    )
    objects = NO_OBJECTS | {"objects": {"before": 900, "after": 2}}
    whole = scored(scored=1200, not_scored={})
    assert night_answer(whole, summary(operations=objects)).text == (
        "3 of 1,200 detections are candidates, 2 objects of 900; all were scored."
    )
    assert night_answer(whole, summary(overlap_with_training=900)).evidence == (
        "3 of 1,200 detections are selected. 900 candidates that a model was trained on are left out of these counts."
    )


@dataclass(frozen=True)
class Counting:
    """A source that lists the blocks that are read."""

    source: ArrayNight
    read: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def blocks(self, first: int = 0) -> Iterator[CandidateBlock]:
        self.read.append(first)
        return self.source.blocks(first)


@pytest.fixture
def source(tmp_path: Path) -> Counting:
    np.save(tmp_path / "night.npy", make_stamps(np.arange(12.0)))
    return Counting(ArrayNight(tmp_path / "night.npy", SIDE, 4))


def test_stamps_are_in_the_order_of_the_best_and_only_their_blocks_are_read(source: Counting) -> None:
    best = pa.table({"id": ["000000009", "000000001", "000000008"], "block": [2, 0, 2]})
    stamps = stamps_of(source, best)
    assert source.read == [0, 2]
    assert [stamp[SIDE // 2, SIDE // 2, 2] for stamp in stamps] == [9.0, 1.0, 8.0]
    assert stamps_of(source, best[:0]) == []


def headlines(rule: ScoringRule, **changes: Any) -> list[tuple[str, Any, str]]:
    first = count_blocks(scored(), rule, summary(**changes))[0]
    assert isinstance(first, Headlines)
    return [(figure.label, figure.value, figure.detail) for figure in first.figures]


def test_the_headlines_count_detections_candidates_objects_and_what_has_no_score() -> None:
    detections, candidates, missing = headlines(make_rule())
    assert detections == ("Detections", 1200, "before the classifier")
    assert candidates == ("Candidates", 3, "with a logit of at least 1.500")
    assert missing == ("Not scored", 10, "edge 7, nan_plane 3")
    with_objects = NO_OBJECTS | {"objects": {"before": 1100, "after": 2}}
    objects = headlines(make_rule(), operations=with_objects)[2]
    assert objects == (
        "Candidate objects",
        2,
        "of 1,100 objects; detections within 2 arcsec are one object",
    )
    complete = count_blocks(scored(scored=1200, not_scored={}), make_rule(), summary())[0]
    assert isinstance(complete, Headlines)
    assert (complete.figures[-1].value, complete.figures[-1].detail) == (0, "every candidate has a score")


def test_the_cascade_is_described_with_its_losses_or_with_the_reason_for_none() -> None:
    alone = describe_cascade(scored(), make_rule(), summary()["cascade"])
    assert alone == "a scored every candidate: no first model was requested."
    assert describe_cascade(scored(), make_rule(below=-2.0), DISCARD) == (
        "b discarded 700 candidates with a logit below -2.00; a scored the others. Of the 240 reals of the validation "
        "part to which the full model gives a logit of at least 0.50, the first model discards 1: at most 1.23% of "
        "such reals are lost (upper 95 % limit)."
    )


def test_counts_at_equal_recovery_stand_side_by_side_for_both_models() -> None:
    row = {"recovery": 0.95, "threshold": 1.0, "detections": 30, "objects": 20}
    other = {"against_threshold": 2.0, "against_detections": 60, "against_objects": None}
    (table,) = (
        block
        for block in operations_blocks(
            summary(operations=NO_OBJECTS | {"equal_recovery": [row | other]}, against="champion/1")
        )
        if isinstance(block, Table)
    )
    assert list(table.columns) == [
        "recovery of true transients",
        "detections, this model",
        "objects, this model",
        "detections, champion/1",
        "objects, champion/1",
    ]
    assert table.rows == [["0.950", 30, 20, 60, None]]
    alone = operations_blocks(summary(operations=NO_OBJECTS | {"equal_recovery": [row]}))
    assert isinstance(alone[-1], Table)
    assert alone[-1].rows == [["0.950", 30, 20]]
    without = operations_blocks(summary())
    assert [type(block) for block in without] == [Heading, Text, Text]


def test_expected_and_counted_reals_have_a_table_where_the_truth_is_known() -> None:
    one = {"low": 0.6, "high": 0.8, "count": 30, "expected": 21.04, "counted": 19, "least": 16, "most": 26}
    counts = {"prior": 0.01, "share": 0.0123, "expected": 21.04, "counted": 19, "by": "the test", "bins": [one]}
    heading, text, table = probability_blocks(counts)
    assert isinstance(heading, Heading)
    assert isinstance(text, Text)
    assert "prior 0.01 the probabilities sum to 21.0 reals; by the test there are 19, a share of 0.0123" in text.text
    assert isinstance(table, Table)
    assert table.rows == [["0.6 to 0.8", 30, "21.0", 19, "16 to 26"]]
    assert probability_blocks(None) == []


def test_the_best_have_a_sheet_and_a_table_with_both_probabilities() -> None:
    best = scored().best
    heading, sheet, table = best_blocks(list(make_stamps(np.zeros(3))), best, make_rule())
    assert heading == Heading("The best 3 candidates")
    assert isinstance(sheet, Figure)
    assert sheet.pixels.startswith(b"\xff\xd8")
    assert "share of 0.001 of all detections" in sheet.caption
    assert isinstance(table, Table)
    rows = best.to_pylist()
    assert [list(line) for line in table.rows] == [
        [
            number,
            f"c{number - 1}",
            f"{row['probability_night']:.4f}",
            f"{row['probability']:.4f}",
            f"{row['logit']:.2f}",
            f"{number - 1}.00000",
            "0.00000",
        ]
        for number, row in enumerate(rows, 1)
    ]
    place = best.schema.get_field_index("ra_deg")
    unknown = best.set_column(place, "ra_deg", pa.nulls(3, pa.float64()))
    lines = best_blocks(list(make_stamps(np.zeros(3))), unknown, make_rule())[2]
    assert isinstance(lines, Table)
    assert [line[5] for line in lines.rows] == [None] * 3
    assert best_blocks([], best[:0], make_rule())[1] == Text("No candidate reaches the threshold.")


def test_the_page_links_to_the_scores_beside_it(source: Counting, tmp_path: Path) -> None:
    best = pa.table({"id": ["000000001"], "block": [0]}).append_column("logit", pa.array([2.0]))
    for name in ("probability", "probability_night", "ra_deg", "dec_deg"):
        best = best.append_column(name, pa.array([0.5]))
    night = scored(best=best, path=tmp_path / "scores" / "n.parquet")
    path = tmp_path / "reports" / "night-n.html"
    path.parent.mkdir()
    write_night_page(path, "Night n", source, night, make_rule(), summary())
    text = path.read_text()
    assert "<title>Night n" in text
    assert "Model a, threshold v1; simulated pixels" in text
    assert 'href="../scores/n.parquet"' in text
    assert "n.parquet (1,200 rows)" in text
    write_night_page(path, "Night n", source, night, make_rule(), summary(pixels=None))
    assert "threshold v1; " not in path.read_text()
    assert Link("a", "b").text == "a"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_is_accessible(source: Counting, tmp_path: Path) -> None:
    path, best = tmp_path / "night-n.html", best_of([3.0, 2.0, 1.5], [1, 0, 1])
    ids = pa.array(["000000005", "000000001", "000000006"])
    night = scored(best=best.set_column(best.schema.get_field_index("id"), "id", ids), path=tmp_path / "n.parquet")
    recovered = {"recovery": 0.95, "threshold": 1.0, "detections": 30, "objects": 20}
    told = summary(cascade=DISCARD, operations=NO_OBJECTS | {"equal_recovery": [recovered]})
    write_night_page(path, "Night n", source, night, make_rule(below=-2.0), told)
    with headless(tmp_path / "profile") as browser:
        browser.open(path.as_uri())
        browser.wait_for("document.readyState === 'complete' && document.documentElement.matches('.scripted')")
        require_accessible(browser)
