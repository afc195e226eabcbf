"""A label version says what people answered, a training takes exactly it, and a name keeps its answers."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tasks.candidates.label_reviews import read_verdicts, write_verdict_table
from tasks.decisions.labelling_queue import Decided, QueueSettings, build_queue, queue_tables, write_queue
from tasks.decisions.labelling_queue import read_verdicts as read_night_verdicts
from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.answers import Answer
from tasks.labelling.label_versions import LabelVersionRequest, consensus_of, publish_label_version
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.queues import LabelQueueError
from tasks.labelling.session import LabelSession
from tasks.learning.labels.relabelling import publish_relabelling
from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.answer_writers import make_answer
from tests.small_candidates import SCHEME

AT = datetime(2026, 6, 1, tzinfo=UTC)


def truth_of(sample: str) -> str:
    return "real" if int(sample[1:]) % 2 == 0 else "bogus"


def sit_down(workspace: Workspace, **request: str | int | float) -> LabelSession:
    queue, _ = open_queue(workspace, QueueRequest(dataset="night", **{"overlap": 0, **request}))
    return LabelSession(queue, AnswerLog.of(workspace, "night"))


def answer_all(session: LabelSession, labeller: str = "ann", **answers: str) -> None:
    """Answer every item rightly, or as `answers` say by sample."""
    for sample in session.queue.ids:
        session.answer(
            f"{labeller}-{session.queue.facts.name}-{sample}",
            labeller,
            sample,
            "answer",
            answers.get(sample, truth_of(sample)),
        )


def publish(workspace: Workspace, **request: str) -> dict:
    return publish_label_version(workspace, LabelVersionRequest(dataset="night", **request), AT)


def labels_of(workspace: Workspace, name: str | None) -> dict[str, str | None]:
    table = Dataset.open(workspace, "night").labels(SCHEME, name)
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


def consensus(*labels: str) -> tuple[str | None, float]:
    answers = [make_answer(str(place), labeller=str(place), label=label) for place, label in enumerate(labels)]
    found = consensus_of(answers)["c0000"]
    return found.label, found.share


def test_a_sample_gets_the_class_that_most_say_and_none_at_a_tie() -> None:
    assert consensus("real") == ("real", 1)
    assert consensus("real", "bogus") == (None, 0)
    assert consensus("real", "bogus", "real") == ("real", pytest.approx(2 / 3))
    assert consensus("real", "unsure", "unsure") == ("real", 1)
    assert consensus("unsure") == (None, 0)
    assert consensus("a", "b", "c", "a") == (None, 0)


def test_one_person_in_two_queues_is_one_opinion() -> None:
    answers = [
        make_answer("1", queue="one"),
        make_answer("2", queue="two", label="bogus"),
        make_answer("3", labeller="bob", label="bogus"),
    ]
    assert consensus_of(answers)["c0000"].share == 1


def test_a_training_takes_the_answers_and_nothing_else(night: Workspace) -> None:
    before = labels_of(night, None)
    session = sit_down(night, count=30, gold_share=0.1)
    answer_all(session, c0001="unsure")
    summary = publish(night, name="people")
    after = labels_of(night, "people")
    gold = {row["id"] for row in session.queue.rows.to_pylist() if row["gold"]}
    asked = set(session.queue.ids) - gold - {"c0001"}
    assert gold
    assert after == {name: truth_of(name) if name in asked else label for name, label in before.items()}
    assert labels_of(night, None) == before
    changed = sum(before[name] != truth_of(name) for name in asked)
    assert (summary["decided"], summary["changed"], summary["version"]) == (len(asked), changed, 2)
    assert (summary["undecided"], summary["absent"]) == (int("c0001" in session.queue.ids), 0)
    assert summary["queues"]["random"]["labellers"]["ann"]["gold_accuracy"] == 1
    # What a training with labels=people is fitted to.
    part = part_rows(Dataset.open(night, "night"), SCHEME, "train", "people")
    assert {name: ("bogus", "real")[label] for name, label in zip(part.ids, part.labels.tolist(), strict=True)} == {
        name: after[name] for name in part.ids
    }
    assert len(part.ids) == 24
    rows = {row["id"]: row for row in Dataset.open(night, "night").labels(SCHEME, "people").to_pylist()}
    one = rows[sorted(asked)[0]]
    assert (one["by"], one["reason"], one["score"], one["at"]) == ("ann", "people: random", 1, AT)


def test_a_name_keeps_its_answers_and_the_next_name_has_the_later_ones(night: Workspace) -> None:
    session = sit_down(night, count=10, gold_share=0)
    first, *others = session.queue.ids
    session.answer("1", "ann", first, "answer", "real")
    one = publish(night, name="one")
    for number, sample in enumerate(others):
        session.answer(f"more-{number}", "ann", sample, "answer", "real")
    session.answer("again", "ann", first, "answer", "bogus")
    again, two = publish(night, name="one"), publish(night)
    assert again == one | {"path": again["path"]}
    assert (two["labels"], two["decided"], two["version"]) == ("people-000011", 10, 3)
    assert labels_of(night, "one")[first] == "real"
    assert labels_of(night, "people-000011")[first] == "bogus"
    with pytest.raises(LabelQueueError, match="choose another name"):
        publish(night, name="one", queue="random")


def test_a_publisher_that_died_is_made_up_for_by_its_own_answers(
    night: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sit_down(night, count=4, gold_share=0)
    session.answer("1", "ann", session.queue.ids[0], "answer", "real")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tasks.labelling.label_versions.publish_relabelling", die)
        with pytest.raises(KeyboardInterrupt):
            publish(night, name="one")
    session.answer("2", "ann", session.queue.ids[1], "answer", "real")
    assert publish(night, name="one")["decided"] == 1


def test_an_undone_or_skipped_item_is_no_label(night: Workspace) -> None:
    session = sit_down(night, count=3, gold_share=0)
    one, two, three = session.queue.ids
    session.answer("1", "ann", one, "answer", "real")
    session.undo("2", "ann")
    session.answer("3", "ann", two, "skip", None)
    with pytest.raises(LabelQueueError, match="no answer with a class yet"):
        publish(night, name="nothing")
    session.answer("4", "ann", three, "answer", "real")
    assert publish(night)["decided"] == 1


def test_a_relabelling_of_that_name_is_not_overwritten(night: Workspace) -> None:
    session = sit_down(night, count=3, gold_share=0)
    answer_all(session)
    publish(night, name="one")
    dataset = Dataset.open(night, "night")
    changes = dataset.labels(SCHEME, "one").select(["id", "label", "reason", "score", "round", "by"]).slice(0, 1)
    publish_relabelling(dataset, SCHEME, "made", changes, None, AT)
    with pytest.raises(LabelQueueError, match="was not made of answers"):
        publish(night, name="made")


def test_a_survey_reads_the_answers_as_right_and_wrong(night: Workspace) -> None:
    path: Path = night.reports / "label-errors-night.csv"
    labels = labels_of(night, None)
    names = ["c0000", "c0001", "c0002", "c0010", "c0011"]
    write_verdict_table(path, ((name, labels[name], 1.0) for name in names))
    session = sit_down(night, queue="survey", source="survey", gold_share=0)
    answer_all(session, c0011="unsure")
    summary = publish(night, queue="survey")
    assert summary["tables"] == [str(path)]
    # Every tenth label is wrong.
    assert read_verdicts(path, names) == ["wrong", "right", "right", "wrong", "unsure"]


def test_the_gate_reads_the_answers_to_a_nights_queue_with_their_chances(night: Workspace) -> None:
    ids = [f"c{row:04d}" for row in range(60)]
    rng = np.random.default_rng(0)
    decided = [Decided(rng.normal(0, 1, 60), rng.choice(["real", "bogus"], 60)) for _ in range(2)]
    table = build_queue(ids, ids, *decided, QueueSettings(most_differing=10, share=0.5, most_random=10), "2026-05-20")
    write_queue(night, "realbogus", "2026-05-20", table)
    session = sit_down(night, queue="gate", source="night", table="2026-05-20", gold_share=0.1)
    answer_all(session)
    publish(night, queue="gate")
    verdicts = read_night_verdicts(queue_tables(night, "realbogus"), ("bogus", "real"))
    chances = dict(zip(table["id"].to_pylist(), table["inclusion_probability"].to_pylist(), strict=True))
    assert {name: verdict.label for name, verdict in verdicts.items()} == {name: truth_of(name) for name in chances}
    assert {name: verdict.probability for name, verdict in verdicts.items()} == pytest.approx(chances)


def test_rows_of_a_table_without_an_answer_stay_as_they_are(night: Workspace) -> None:
    path: Path = night.reports / "label-errors-night.csv"
    write_verdict_table(path, [("c0000", "real", 1.0), ("c0001", "real", 2.0)])
    path.write_text(path.read_text().replace("c0001,real,2.0000,", "c0001,real,2.0000,wrong"))
    session = sit_down(night, queue="survey", source="survey", gold_share=0)
    session.answer("1", "ann", "c0000", "answer", "real")
    publish(night, queue="survey")
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[1:] == [["c0000", "real", "1.0000", "right"], ["c0001", "real", "2.0000", "wrong"]]


def test_two_peoples_answers_are_compared_in_the_summary(night: Workspace) -> None:
    session = sit_down(night, count=12, overlap=1, gold_share=0)
    answer_all(session)
    flipped = {name: {"real": "bogus", "bogus": "real"}[truth_of(name)] for name in session.queue.ids[:3]}
    answer_all(session, "bob", **flipped)
    summary = publish(night)
    pair = summary["queues"]["random"]["pairs"][0]
    assert (pair["samples"], pair["agreed"]) == (12, 9)
    assert (summary["decided"], summary["undecided"]) == (9, 3)


def test_without_answers_there_is_nothing_to_publish(night: Workspace) -> None:
    with pytest.raises(LabelQueueError, match="has no answer yet"):
        publish(night)


def test_answers_say_what_they_were_shown(night: Workspace) -> None:
    session = sit_down(night, count=3, gold_share=0)
    answer_all(session)
    publish(night, name="one")
    later = sit_down(night, queue="again", labels="one", count=3)
    row, _ = later.answer("x", "bob", later.queue.ids[0], "answer", "real")
    assert isinstance(row.answer, Answer)
    assert row.answer.label_version == "night@2:one"
