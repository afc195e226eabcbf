"""Queues at work: each is opened once for all, and shows of its samples what a labeller of it may see."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.labelling.desk import Desk
from tasks.labelling.filters import DEFAULT_RADIUS_ARCSEC, ItemFilter, RefusedFilterError
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.queues import LabelQueue, LabelQueueError, QueueFacts, write_label_queue
from tasks.labelling.session import RefusedAnswerError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNotFoundError

COUNT = 20


def make_queue(workspace: Workspace, name: str, **columns: list[Any]) -> LabelQueue:
    """An open queue of candidates, some columns given."""
    drawn, _ = open_queue(workspace, QueueRequest(dataset="night", queue="drawn", count=COUNT, gold_share=0, seed=1))
    rows = drawn.rows
    for column, values in columns.items():
        position = rows.column_names.index(column)
        rows = rows.set_column(position, rows.field(position), pa.array(values, rows.field(position).type))
    facts = QueueFacts(**drawn.facts.model_dump() | {"name": name, "blind": False})
    write_label_queue(workspace, LabelQueue(facts, rows))
    return LabelQueue(facts, rows)


def test_a_queue_is_opened_once_for_all_threads_and_a_log_once_for_all_queues(night: Workspace) -> None:
    make_queue(night, "one")
    make_queue(night, "two")
    desk = Desk(night)
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda number: desk.place("night", ("one", "two")[number % 2]), range(16)))
    assert len({id(place) for place in places}) == 2
    assert desk.place("night", "one") is places[0]
    assert places[0].session.log is places[1].session.log


def test_the_listing_has_every_queue_by_dataset_and_name(night: Workspace) -> None:
    assert Desk(Workspace(night.root / "empty")).listing() == []
    assert Desk(night).listing() == []
    make_queue(night, "second")
    open_queue(night, QueueRequest(dataset="night", queue="first", count=7, gold_share=0))
    assert Desk(night).listing() == [
        {"dataset": "night", "name": "drawn", "source": "random", "items": COUNT},
        {"dataset": "night", "name": "first", "source": "random", "items": 7},
        {"dataset": "night", "name": "second", "source": "random", "items": COUNT},
    ]


def test_a_queue_or_a_dataset_that_is_not_there_is_refused_by_its_name_and_may_come(night: Workspace) -> None:
    desk = Desk(night)
    with pytest.raises(LabelQueueError, match="dataset 'night' has no queue 'one'; there are: none"):
        desk.place("night", "one")
    make_queue(night, "one")
    assert len(desk.place("night", "one").queue) == COUNT
    shutil.rmtree(night.datasets)
    with pytest.raises(DatasetNotFoundError, match="'night'"):
        Desk(night).place("night", "one")


def test_filters_are_offered_only_where_there_is_something_to_choose(night: Workspace) -> None:
    scores = [None, 0.5, -2.0, float("nan"), *[0.25] * (COUNT - 4)]
    make_queue(night, "scored", score=scores, reason=["a"] * 5 + ["b"] * (COUNT - 5))
    setup = Desk(night).place("night", "scored").setup()
    assert setup["filters"] == {
        "reasons": ["a", "b"],
        "labels": ["bogus", "real"],
        "scores": [-2.0, 0.5],
        "detectors": ["chip 0", "chip 1", "chip 2"],
        "radius_arcsec": DEFAULT_RADIUS_ARCSEC,
    }
    assert (setup["items"], setup["blind"], setup["classes"]) == (COUNT, False, ["bogus", "real"])
    assert setup["words"] == ["bogus", "real", "unsure"]
    labels = ["real"] * (COUNT - 1) + [None]
    make_queue(night, "plain", score=[None] * COUNT, previous=labels)
    plain = Desk(night).place("night", "plain").setup()["filters"]
    assert (plain["reasons"], plain["labels"], plain["scores"]) == ([], [], None)


def test_a_blind_queue_offers_no_filter_and_takes_none(night: Workspace) -> None:
    open_queue(night, QueueRequest(dataset="night", count=COUNT))
    place = Desk(night).place("night", "random")
    filters = place.setup()["filters"]
    assert filters == {"reasons": [], "labels": [], "scores": None, "detectors": [], "radius_arcsec": None}
    with pytest.raises(RefusedFilterError, match="queue 'random' is blind"):
        place.next("ann", wanted=ItemFilter(label="real"))
    assert place.session.count_free("ann") == place.next("ben")["left"], "a refused request reserves nothing"


def test_what_is_left_counts_what_the_filter_keeps_and_items_go_on_behind_the_last(night: Workspace) -> None:
    queue = make_queue(night, "open")
    place, real = Desk(night).place("night", "open"), ItemFilter(label="real")
    wanted = [rank for rank, label in enumerate(queue.rows["previous"].to_pylist()) if label == "real"]
    first = place.next("ann", count=3, wanted=real)
    assert [item["rank"] for item in first["items"]] == wanted[:3]
    assert first["left"] == len(wanted)
    rest = place.next("ann", after=wanted[2], count=COUNT, wanted=real)
    assert [item["rank"] for item in rest["items"]] == wanted[3:]
    for number, item in enumerate(first["items"]):
        place.session.answer(f"a{number}", "ann", item["id"], "answer", "bogus")
    after = place.next("ann", count=1, wanted=real)
    assert (after["left"], after["progress"]["mine"]) == (len(wanted) - 3, 3)
    assert [item["rank"] for item in after["items"]] == wanted[3:4]


def test_the_detail_is_the_labeller_s_own_answer_and_the_labels_of_the_dataset(night: Workspace) -> None:
    queue = make_queue(night, "open")
    place, sample = Desk(night).place("night", "open"), queue.ids[4]
    labels = Dataset.open(night, "night").labels(queue.facts.scheme)
    label_of = dict(zip(labels["id"].to_pylist(), labels["label"].to_pylist(), strict=True))
    place.session.answer("one", "ann", sample, "answer", "unsure", "a ghost?")
    mine, other = place.detail(sample, "ann"), place.detail(sample, "ben")
    assert (mine["answer"], other["answer"]) == ({"label": "unsure", "comment": "a ghost?"}, None)
    assert {name: value for name, value in mine.items() if name != "answer"} == {
        name: value for name, value in other.items() if name != "answer"
    }
    assert (mine["id"], mine["rank"], mine["label"]) == (sample, 4, label_of[sample])
    assert sample not in [item["id"] for item in mine["neighbours"]]
    for item in mine["neighbours"]:
        assert item["label"] == label_of[item["id"]]
        assert item["queued"] == (item["id"] in queue.ids)
    apart = [item["separation_arcsec"] for item in mine["neighbours"]]
    assert apart == sorted(apart)
    assert np.max(apart) <= DEFAULT_RADIUS_ARCSEC
    with pytest.raises(RefusedAnswerError, match="queue 'open' has no sample 'c9999'"):
        place.detail("c9999", "ann")


def test_the_summary_is_of_the_queue_s_own_answers(night: Workspace) -> None:
    queue = make_queue(night, "open")
    make_queue(night, "other")
    desk = Desk(night)
    for name, labeller, sample in (("open", "ann", 0), ("open", "ben", 0), ("other", "ann", 1)):
        desk.place("night", name).session.answer(f"{name}-{labeller}", labeller, queue.ids[sample], "answer", "real")
    summary = desk.place("night", "open").summary()
    assert {name: each["answers"] for name, each in summary["labellers"].items()} == {"ann": 1, "ben": 1}
