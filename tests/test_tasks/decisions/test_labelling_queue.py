"""What people are asked to judge is a sample of known chances, and rates weighted by them are those of the night."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.decisions.labelling_queue import (
    QUEUE,
    Decided,
    QueueError,
    QueueSettings,
    Verdict,
    build_queue,
    queue_path,
    queue_tables,
    read_queue,
    read_verdicts,
    weighted_rates,
    write_queue,
)
from tasks.runtime.workspace import Workspace

CLASSES = ("bogus", "real")
NAME, NIGHT = "realbogus", "2026-05-20"


def decided(rows: int, seed: int) -> Decided:
    logits = np.random.default_rng(seed).normal(0, 1, rows)
    return Decided(logits, np.where(logits > 0.5, "real", "bogus"))


def queue_of(rows: int, settings: QueueSettings, night: str = NIGHT) -> tuple[pa.Table, np.ndarray]:
    """A queue, and which rows the two models decide differently."""
    champion, challenger = decided(rows, 0), decided(rows, 1)
    ids, groups = [f"c{row}" for row in range(rows)], [f"cell {row % 40}" for row in range(rows)]
    return build_queue(ids, groups, champion, challenger, settings, night), champion.decisions != challenger.decisions


@given(st.integers(0, 300), st.integers(0, 60), st.floats(0.01, 1), st.integers(0, 60))
def test_each_stream_keeps_its_number_and_its_chances(rows: int, most: int, share: float, most_random: int) -> None:
    settings = QueueSettings(most_differing=most, share=share, most_random=most_random)
    queue, differ = queue_of(rows, settings)
    assert queue.schema == QUEUE
    for stream, members, wanted in (("differ", differ, most), ("random", ~differ, most_random)):
        chosen = queue.filter(pa.array(np.array(queue["stream"].to_pylist()) == stream)) if len(queue) else queue
        count = int(members.sum())
        assert len(chosen) <= wanted
        assert {f"c{row}" for row in np.flatnonzero(members)} >= set(chosen["id"].to_pylist())
        assert len(set(chosen["id"].to_pylist())) == len(chosen)
        if len(chosen):
            # One over the chance adds up to the rows that the stream stands for.
            assert np.sum(1 / chosen["inclusion_probability"].to_numpy()) == pytest.approx(count)
    if most >= differ.sum():
        assert queue["stream"].to_pylist().count("differ") == differ.sum()


def test_a_queue_repeats_and_another_night_draws_others() -> None:
    settings = QueueSettings(most_differing=10, most_random=10)
    first, _ = queue_of(400, settings)
    assert first.equals(queue_of(400, settings)[0])
    assert set(first["id"].to_pylist()) != set(queue_of(400, settings, "2026-05-21")[0]["id"].to_pylist())


def with_verdicts(queue: pa.Table, truth: Mapping[str, str]) -> pa.Table:
    words = [truth.get(name) for name in queue["id"].to_pylist()]
    return queue.set_column(queue.schema.names.index("verdict"), "verdict", pa.array(words, pa.string()))


def test_weighted_rates_are_unbiased_over_many_draws() -> None:
    rows = 500
    champion, challenger = decided(rows, 0), decided(rows, 1)
    real = np.random.default_rng(5).random(rows) < np.where(champion.decisions == "real", 0.7, 0.1)
    ids, groups = [f"c{row}" for row in range(rows)], [f"cell {row % 40}" for row in range(rows)]
    truth = {name: "real" if flag else "bogus" for name, flag in zip(ids, real, strict=True)}
    drawn = []
    for seed in range(300):
        settings = QueueSettings(most_differing=60, most_random=60, share=0.5, seed=seed)
        queue = with_verdicts(build_queue(ids, groups, champion, challenger, settings, NIGHT), truth)
        rates = weighted_rates(queue, "real", np.random.default_rng(0)) if seed < 3 else plain_rates(queue)
        drawn.append([rates["positive_share"], rates["champion"]["error_rate"], rates["challenger"]["error_rate"]])
    expected = [real.mean(), *(np.mean((model.decisions == "real") != real) for model in (champion, challenger))]
    scatter = np.std(drawn, axis=0, ddof=1) / np.sqrt(len(drawn))
    np.testing.assert_array_less(np.abs(np.mean(drawn, axis=0) - expected), 3.5 * scatter)
    # Counted without weights, the rows on which the models differ would rule.
    assert np.mean([row[2] for row in drawn]) < 0.9 * np.mean(unweighted_errors(ids, groups, truth))


def plain_rates(queue: pa.Table) -> dict[str, Any]:
    """The same point values, without the intervals, which cost most of the time."""
    weights = 1 / queue["inclusion_probability"].to_numpy()
    truth = np.array(queue["verdict"].to_pylist())
    share = {
        model: {"error_rate": np.average(np.array(queue[f"{model}_decision"].to_pylist()) != truth, weights=weights)}
        for model in ("champion", "challenger")
    }
    return {"positive_share": np.average(truth == "real", weights=weights), **share}


def unweighted_errors(ids: list[str], groups: list[str], truth: dict[str, str]) -> list[float]:
    settings = QueueSettings(most_differing=60, most_random=60, share=0.5)
    queue = with_verdicts(build_queue(ids, groups, decided(500, 0), decided(500, 1), settings, NIGHT), truth)
    return [np.mean(np.array(queue["challenger_decision"].to_pylist()) != np.array(queue["verdict"].to_pylist()))]


def test_rates_have_intervals_and_count_what_is_unsure() -> None:
    queue, _ = queue_of(2000, QueueSettings(most_random=2000))
    words = queue["champion_decision"].to_pylist()
    truth = dict(zip(queue["id"].to_pylist(), words, strict=True))
    truth |= dict.fromkeys(queue["id"].to_pylist()[:7], "unsure")
    rates = weighted_rates(with_verdicts(queue, truth), "real", np.random.default_rng(0))
    assert (rates["rows"], rates["judged"], rates["unsure"]) == (len(queue), len(queue) - 7, 7)
    champion = rates["champion"]
    assert champion["true_positive_rate"] == champion["purity"] == 1.0
    assert champion["false_positive_rate"] == champion["error_rate"] == 0.0
    challenger = rates["challenger"]
    assert challenger["error_rate_low"] < challenger["error_rate"] < challenger["error_rate_high"]
    assert rates["positive_share_low"] < rates["positive_share"] < rates["positive_share_high"]


def test_unsure_rows_are_like_the_others_of_their_stream() -> None:
    queue, _ = queue_of(1000, QueueSettings(most_random=1000))
    ids, streams = queue["id"].to_pylist(), queue["stream"].to_pylist()
    truth = {name: "real" if stream == "differ" else "bogus" for name, stream in zip(ids, streams, strict=True)}
    whole = weighted_rates(with_verdicts(queue, truth), "real", np.random.default_rng(0))["positive_share"]
    answered = {name: word for place, (name, word) in enumerate(truth.items()) if place % 3 == 0}
    part = weighted_rates(with_verdicts(queue, answered), "real", np.random.default_rng(0))["positive_share"]
    assert part == pytest.approx(whole)


def test_without_a_verdict_on_a_whole_stream_there_is_no_rate() -> None:
    queue, _ = queue_of(1000, QueueSettings())
    streams = zip(queue["id"].to_pylist(), queue["stream"].to_pylist(), strict=True)
    rates = weighted_rates(
        with_verdicts(queue, {name: "real" for name, stream in streams if stream == "differ"}),
        "real",
        np.random.default_rng(0),
    )
    assert rates["judged"] == 0
    assert rates["positive_share"] is None
    assert rates["champion"]["error_rate"] is None


def test_without_a_positive_class_there_is_the_error_rate_alone() -> None:
    queue, _ = queue_of(1000, QueueSettings(most_random=1000))
    truth = dict(zip(queue["id"].to_pylist(), queue["champion_decision"].to_pylist(), strict=True))
    rates = weighted_rates(with_verdicts(queue, truth), None, np.random.default_rng(0))
    assert "positive_share" not in rates
    assert list(rates["champion"]) == ["error_rate", "error_rate_low", "error_rate_high"]
    assert rates["champion"]["error_rate"] == 0 < rates["challenger"]["error_rate"]


def test_queues_of_one_night_are_apart_for_the_models_of_each_name(workspace: Workspace) -> None:
    queue, _ = queue_of(300, QueueSettings())
    sheet = write_queue(workspace, NAME, NIGHT, queue).with_suffix(".csv")
    fill_in(sheet, {queue["id"][0].as_py(): "real"})
    other = write_queue(workspace, "galaxy-deck-3", NIGHT, queue_of(290, QueueSettings())[0]).with_suffix(".csv")
    assert queue_tables(workspace, NAME) == [sheet]
    assert queue_tables(workspace, "galaxy-deck-3") == [other]
    assert read_queue(workspace, NAME, NIGHT, CLASSES)["verdict"][0].as_py() == "real"


def fill_in(path: Path, verdicts: Mapping[str, str]) -> None:
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"verdict": verdicts.get(row["id"], row["verdict"])} for row in rows)


def test_a_queue_is_written_filled_in_and_read_back(workspace: Workspace) -> None:
    queue, _ = queue_of(300, QueueSettings())
    path = write_queue(workspace, NAME, NIGHT, queue)
    assert path == queue_path(workspace, NAME, NIGHT)
    assert read_queue(workspace, NAME, NIGHT, CLASSES).equals(queue)
    ids = queue["id"].to_pylist()
    fill_in(path.with_suffix(".csv"), {ids[0]: "Real ", ids[1]: "unsure"})
    read = read_queue(workspace, NAME, NIGHT, CLASSES)["verdict"].to_pylist()
    assert read[:3] == ["real", "unsure", None]
    assert queue_tables(workspace, NAME) == [path.with_suffix(".csv")]


def test_a_queue_written_again_keeps_the_answers(workspace: Workspace) -> None:
    queue, _ = queue_of(300, QueueSettings())
    sheet = write_queue(workspace, NAME, NIGHT, queue).with_suffix(".csv")
    fill_in(sheet, {queue["id"][0].as_py(): "real"})
    write_queue(workspace, NAME, NIGHT, queue)
    assert read_queue(workspace, NAME, NIGHT, CLASSES)["verdict"][0].as_py() == "real"
    other, _ = queue_of(290, QueueSettings())
    with pytest.raises(QueueError, match="holds verdicts on other rows than the queue of night 2026-05-20"):
        write_queue(workspace, NAME, NIGHT, other)


def test_a_queue_without_answers_may_be_replaced(workspace: Workspace) -> None:
    write_queue(workspace, NAME, NIGHT, queue_of(300, QueueSettings())[0])
    other, _ = queue_of(290, QueueSettings())
    write_queue(workspace, NAME, NIGHT, other)
    assert read_queue(workspace, NAME, NIGHT, CLASSES).equals(other)


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_verdicts_of_queues_have_their_chance_lowered_by_missing_answers(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "night.csv",
        "id,stream,inclusion_probability,verdict\na,differ,1.0,real\nb,differ,1.0,\nc,random,0.1,bogus\nd,random,0.1,unsure\n",
    )
    assert read_verdicts([table], CLASSES) == {"a": Verdict("real", 0.5), "c": Verdict("bogus", 0.05)}


def test_a_table_without_chances_or_with_a_stream_unanswered_is_no_sample(tmp_path: Path) -> None:
    review = write_csv(
        tmp_path / "review.csv", "id,label,logit,verdict\na,bogus,3.1,wrong\nb,bogus,2.0,right\nc,real,1,\n"
    )
    assert read_verdicts([review], CLASSES) == {"a": Verdict("real", None), "b": Verdict("bogus", None)}
    half = write_csv(tmp_path / "half.csv", "id,stream,inclusion_probability,verdict\na,differ,1,real\nc,random,0.1,\n")
    assert read_verdicts([half], CLASSES) == {"a": Verdict("real", None)}


def test_a_wrong_label_among_many_classes_says_no_class(tmp_path: Path) -> None:
    review = write_csv(tmp_path / "review.csv", "id,label,verdict\na,spiral,wrong\nb,spiral,edge_on\n")
    assert read_verdicts([review], ("spiral", "edge_on", "round")) == {"b": Verdict("edge_on", None)}


def test_the_last_table_counts(tmp_path: Path) -> None:
    tables = [write_csv(tmp_path / f"{word}.csv", f"id,verdict\na,{word}\n") for word in ("real", "bogus")]
    assert read_verdicts(tables, CLASSES)["a"].label == "bogus"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,verdict\na,maybe\n", "has the verdict 'maybe' of a; there are bogus, real and unsure"),
        ("id,label,verdict\na,real,maybe\n", "there are bogus, real, right, wrong and unsure"),
        ("id,logit\na,1\n", "lacks the columns id and verdict; it has id, logit"),
        ("", "lacks the columns id and verdict; it has none"),
        ("id,inclusion_probability,verdict\na,0,real\n", "has the inclusion probability '0' of a"),
        ("id,inclusion_probability,verdict\na,many,real\n", "has the inclusion probability 'many' of a"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, says: str) -> None:
    table = write_csv(tmp_path / "night.csv", text)
    with pytest.raises(QueueError, match=says) as caught:
        read_verdicts([table], CLASSES)
    assert str(table) in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match="cannot be read as a table of verdicts"):
        read_verdicts([tmp_path / "none.csv"], CLASSES)
