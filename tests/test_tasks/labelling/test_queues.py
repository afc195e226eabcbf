"""A queue holds what was drawn in its order, gold spread among it, and each row with its chance."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.decisions.labelling_queue import Decided, build_queue, write_queue
from tasks.decisions.labelling_queue import QueueSettings as NightSettings
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.queues import (
    EVERYBODY,
    QUEUE,
    LabelQueueError,
    QueueSettings,
    mix_queue,
    queue_names,
    random_rows,
    read_label_queue,
)
from tasks.runtime.workspace import Workspace
from tests.small_galaxies import publish_galaxies

COUNT = 60
IDS = [f"c{row:04d}" for row in range(COUNT)]


def write_scores(workspace: Workspace, name: str, **columns: Any) -> str:
    path = workspace.scores / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": IDS, **columns}), path)
    return f"scores/{name}.parquet"


@given(st.integers(0, 300), st.integers(0, 40), st.floats(0, 0.5), st.floats(0, 1), st.integers(0, 3))
def test_gold_is_mixed_in_at_its_share_and_the_rows_keep_their_order(
    count: int, spare: int, share: float, overlap: float, seed: int
) -> None:
    drawn = [f"d{row}" for row in range(count)]
    rows = random_rows(drawn, None, seed)
    gold = {f"g{row}": "real" for row in range(spare)} | dict.fromkeys(drawn[:5], "real")
    labels = pa.table({"id": drawn, "label": ["bogus"] * count})
    queue = mix_queue(rows, labels, gold, {}, QueueSettings(gold_share=share, overlap=overlap, seed=seed))
    assert queue.schema == QUEUE
    assert queue["rank"].to_pylist() == list(range(len(queue)))
    is_gold = np.array([label is not None for label in queue["gold"].to_pylist()], bool)
    names = np.array(queue["id"].to_pylist(), object)
    assert names[~is_gold].tolist() == rows["id"].to_pylist()
    assert set(names[is_gold]) <= {f"g{row}" for row in range(spare)}
    assert len(set(names)) == len(names)
    if count:
        wanted = max(round(count * share / (1 - share)), int(share > 0))
        assert is_gold.sum() == min(wanted, spare)
        # Spread: any stretch of the queue has its share, to within one item a cut.
        for part in np.array_split(is_gold, 4):
            assert abs(part.sum() - is_gold.mean() * len(part)) <= 3
    opinions = np.array(queue["opinions"].to_pylist(), int)
    assert (opinions == EVERYBODY).tolist() == is_gold.tolist()
    assert set(opinions[~is_gold]) <= {1, 2}


def test_overlap_is_the_share_of_rows_that_two_people_get() -> None:
    rows = random_rows([f"d{row}" for row in range(4000)], None, 0)
    none = pa.table({"id": pa.array([], pa.string()), "label": pa.array([], pa.string())})
    for share in (0.0, 0.25, 1.0):
        queue = mix_queue(rows, none, {}, {}, QueueSettings(overlap=share))
        assert np.mean(np.array(queue["opinions"]) == 2) == pytest.approx(share, abs=0.03)


@given(st.integers(1, 50), st.integers(1, 60))
def test_chances_of_a_random_queue_add_up_to_the_rows(total: int, count: int) -> None:
    rows = random_rows([f"d{row}" for row in range(total)], count, 0)
    assert np.sum(1 / rows["inclusion_probability"].to_numpy()) == pytest.approx(total)
    assert (
        rows["id"].to_pylist() == random_rows([f"d{row}" for row in range(total)], total, 0)["id"].to_pylist()[:count]
    )


def test_a_queue_is_made_once_and_read_again(night: Workspace) -> None:
    queue, absent = open_queue(night, QueueRequest(dataset="night", count=20))
    assert (absent, len(queue), queue.facts.blind, queue.facts.classes) == (0, 21, True, ("bogus", "real"))
    assert queue.facts.label_version == "night@1"
    again, _ = open_queue(night, QueueRequest(dataset="night", count=50, seed=9))
    assert again.rows.equals(queue.rows)
    assert read_label_queue(night, "night", "random").facts == queue.facts
    assert queue_names(night, "night") == ["random"]
    gold = {row["id"]: row["gold"] for row in queue.rows.to_pylist() if row["gold"]}
    assert all(label == ("real" if int(name[1:]) % 2 == 0 else "bogus") for name, label in gold.items())
    with pytest.raises(LabelQueueError, match="is of source=random: name another"):
        open_queue(night, QueueRequest(dataset="night", source="entropy"))
    with pytest.raises(LabelQueueError, match="has no queue 'other'; there are: random"):
        read_label_queue(night, "night", "other")


def test_entropy_asks_first_about_what_a_model_is_unsure_of(night: Workspace) -> None:
    logits = np.linspace(-6, 6, COUNT)
    logits[5] = np.nan
    table = write_scores(night, "one", logit=logits)
    request = QueueRequest(dataset="night", queue="unsure", source="entropy", table=table, gold_share=0, count=None)
    queue, _ = open_queue(night, request)
    # The rows lie symmetrically about the logit of no preference.
    assert set(queue.ids[:2]) == {"c0029", "c0030"}
    assert set(queue.ids[-2:]) == {"c0000", "c0059"}
    assert sorted(queue.ids) == sorted(set(IDS) - {"c0005"})
    assert queue.rows["score"].to_pylist() == sorted(queue.rows["score"].to_pylist(), reverse=True)
    assert not queue.facts.blind


def test_disagreement_is_the_difference_of_two_models_probabilities(night: Workspace) -> None:
    one, two = np.full(COUNT, 0.5), np.full(COUNT, 0.5)
    two[[7, 3, 11]] = [0.9, 0.2, 0.55]
    first = write_scores(night, "one", probability=one)
    second = write_scores(night, "two", probability_bogus=1 - two, probability_real=two)
    base = {"dataset": "night", "queue": "differ", "source": "disagreement", "count": 3, "gold_share": 0}
    queue, _ = open_queue(night, QueueRequest(**base, table=first, against=second))
    assert queue.ids == ["c0007", "c0003", "c0011"]
    assert queue.rows["score"].to_pylist() == pytest.approx([0.4, 0.3, 0.05])
    with pytest.raises(LabelQueueError, match="needs table= and against="):
        open_queue(night, QueueRequest(**base | {"queue": "more"}, table=first))
    with pytest.raises(LabelQueueError, match="has no probabilities of bogus, real"):
        open_queue(
            night, QueueRequest(**base | {"queue": "more"}, table=write_scores(night, "3", mag=one), against=second)
        )


def test_suspects_come_by_rank_and_only_they(night: Workspace) -> None:
    suspect = np.arange(COUNT) % 10 == 0
    rank = np.roll(np.arange(1, COUNT + 1), 1)
    table = write_scores(night, "suspects-night", suspect=suspect, rank=rank, margin=np.full(COUNT, -0.5))
    queue, _ = open_queue(night, QueueRequest(dataset="night", queue="s", source="suspects", table=table, gold_share=0))
    assert queue.ids == ["c0010", "c0020", "c0030", "c0040", "c0050", "c0000"]
    assert queue.rows["previous"].to_pylist() == ["bogus"] * 6
    assert set(queue.rows["score"].to_pylist()) == {0.5}


def test_a_nights_queue_keeps_streams_and_chances_and_counts_what_the_dataset_lacks(night: Workspace) -> None:
    ids = [*IDS, "elsewhere"]
    rng = np.random.default_rng(0)
    decided = [Decided(rng.normal(0, 1, 61), rng.choice(["real", "bogus"], 61)) for _ in range(2)]
    settings = NightSettings(most_differing=10, share=1, most_random=100)
    table = build_queue(ids, ids, *decided, settings, "2026-05-20")
    path = write_queue(night, "realbogus", "2026-05-20", table)
    request = QueueRequest(dataset="night", queue="gate", source="night", table="2026-05-20", count=1, gold_share=0)
    queue, absent = open_queue(night, request)
    chances = dict(zip(table["id"].to_pylist(), table["inclusion_probability"].to_pylist(), strict=True))
    assert (absent, len(queue)) == (int("elsewhere" in chances), len(chances) - absent)
    assert all(row["inclusion_probability"] == chances[row["id"]] for row in queue.rows.to_pylist())
    assert queue.facts.table == str(path.with_suffix(".csv").relative_to(night.root))
    with pytest.raises(LabelQueueError, match="night 2026-05-21 has no labelling queue"):
        open_queue(night, QueueRequest(dataset="night", queue="x", source="night", table="2026-05-21"))


def test_a_survey_queue_has_its_rows_and_shows_no_label(night: Workspace) -> None:
    path: Path = night.reports / "label-errors-night.csv"
    path.parent.mkdir(parents=True)
    path.write_text("id,label,logit,verdict\nc0003,bogus,1.5,\nc0002,real,2,\n")
    queue, _ = open_queue(night, QueueRequest(dataset="night", queue="survey", source="survey", gold_share=0))
    assert sorted(queue.ids) == ["c0002", "c0003"]
    assert (queue.facts.blind, queue.facts.table) == (True, "reports/label-errors-night.csv")


def test_galaxies_have_gold_where_volunteers_agree(workspace: Workspace) -> None:
    publish_galaxies(workspace, "sky", 100)
    queue, _ = open_queue(workspace, QueueRequest(dataset="sky", count=50, gold_share=0.1))
    gold = [row for row in queue.rows.to_pylist() if row["gold"]]
    assert 0 < len(gold) <= 6
    assert all(row["gold"] == row["previous"] for row in gold)
