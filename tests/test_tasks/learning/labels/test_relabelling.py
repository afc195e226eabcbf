"""Relabelling: an opinion beside the originals, a version of its own, with its history; what stops it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.candidates.relabelling.relabel import CandidateRelabelRequest, CandidateRelabelTask
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.labels.relabelling import publish_relabelling, relabelled, with_targets
from tasks.learning.labels.suspects import SuspectError
from tasks.learning.split_parts import UNLABELLED, PartError, SplitPart
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNameError, StoreError
from tasks.training.relabel import select_suspects
from tests.small_candidates import SCHEME, publish_candidates

COUNT = 320
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)
WORDS: tuple[str | None, ...] = ("real", "bogus", None)


def changes(rows: Sequence[tuple[str, str | None]], number: int = 1) -> pa.Table:
    ids, labels = [name for name, _ in rows], [label for _, label in rows]
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "label": pa.array(labels, pa.string()),
            "reason": pa.array(["looked at"] * len(rows), pa.string()),
            "score": pa.array([0.5] * len(rows), pa.float64()),
            "round": pa.array([number] * len(rows), pa.int32()),
            "by": pa.array(["a person"] * len(rows), pa.string()),
        }
    )


def make(workspace: Workspace, **columns: Sequence[Any]) -> Dataset:
    """Even rows are real; of sky cells of four every eighth validates and every eighth tests."""
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(COUNT)]
    cells = [f"cell {row // 4:03d}" for row in range(COUNT)]
    parts = [{0: "validation", 1: "test"}.get(row // 4 % 8, "train") for row in range(COUNT)]
    return publish_candidates(workspace, "made", labels, cells, parts, columns=columns)


def labels_of(dataset: Dataset, name: str | None = None) -> dict[str, str | None]:
    table = dataset.labels(SCHEME, name)
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def scored(workspace: Workspace, wrong: Sequence[int], labels: str | None = None) -> pa.Table:
    """Out-of-fold scores of the training part that contradict the labels of the samples numbered `wrong`."""
    request = CandidateTrainRequest(dataset="made", network="first", labels=labels)
    part = open_candidate_training(workspace, request).part("train")
    against = np.isin([int(name[1:]) for name in part.ids], wrong)
    logits = np.where((part.labels == 1) ^ against, 3.0, -3.0) + np.arange(len(part)) / 1e4
    table = pa.table({"id": part.ids, "logit": logits, "label": pa.array(part.labels, pa.int32())})
    return table.sort_by("id")


def select(workspace: Workspace, wrong: Sequence[int], source: str | None = None, number: int = 1, **asked: Any) -> str:
    plain = {"rule": "threshold", "handling": "unlabel", "suspect_injections": True}
    request = CandidateRelabelRequest(**{"dataset": "made", "network": "first", **plain, **asked})
    relabel = CandidateRelabelTask(workspace, request)
    name, _ = select_suspects(relabel, scored(workspace, wrong, source), source, number)
    return name


@given(
    rows=st.dictionaries(st.text("abc", min_size=1, max_size=4), st.tuples(*2 * [st.sampled_from(WORDS)]), min_size=1),
    picked=st.randoms(use_true_random=False),
)
def test_only_what_is_changed_changes_and_says_why(rows: dict[str, tuple[str | None, str | None]], picked: Any) -> None:
    ids = list(rows)
    chosen = picked.sample(ids, picked.randint(0, len(ids)))
    before = pa.table({"id": ids, "label": pa.array([rows[name][0] for name in ids], pa.string())})
    after = relabelled(before, changes([(name, rows[name][1]) for name in chosen]), NOW).to_pylist()
    assert [row["id"] for row in after] == sorted(ids)
    for row in after:
        old, new = rows[row["id"]]
        assert row["previous"] == old
        if row["id"] in chosen:
            assert (row["label"], row["reason"], row["by"], row["round"]) == (new, "looked at", "a person", 1)
            assert row["at"] == NOW
        else:
            assert row["label"] == old
            assert {row[name] for name in ("reason", "by", "round", "score", "at")} == {None}


def test_a_relabelling_is_a_version_of_its_own_and_the_earlier_one_keeps_every_byte(workspace: Workspace) -> None:
    first = make(workspace)
    (first.path / "validation" / "verdict.json").write_text("{}")
    before, originals = digests(first.path), labels_of(first)
    second = publish_relabelling(first, SCHEME, "eyes", changes([("c0008", None), ("c0009", "real")]), None, NOW)
    assert digests(first.path) == before
    assert (second.version, second.manifest["parent"]) == (2, 1)
    assert Dataset.open(workspace, "made").version == 2
    assert labels_of(second) == originals
    assert labels_of(second, "eyes") == originals | {"c0008": None, "c0009": "real"}
    assert (second.digest, second.manifest["split_hash"]) == (first.digest, first.manifest["split_hash"])
    assert second.samples().equals(first.samples())
    assert (second.path / "validation" / "verdict.json").read_text() == "{}"
    with pytest.raises(StoreError, match="version 1 has no relabelling 'eyes'"):
        Dataset.open(workspace, "made@1").labels(SCHEME, "eyes")


def test_the_same_relabelling_again_is_no_new_version(workspace: Workspace) -> None:
    asked = (SCHEME, "eyes", changes([("c0008", None)]), None)
    second = publish_relabelling(make(workspace), *asked, NOW)
    assert publish_relabelling(second, *asked, LATER).version == 2
    assert Dataset.open(workspace, "made").version == 2


def test_a_relabelling_of_a_relabelling_keeps_both(workspace: Workspace) -> None:
    first = publish_relabelling(make(workspace), SCHEME, "one", changes([("c0008", None)]), None, NOW)
    second = publish_relabelling(first, SCHEME, "two", changes([("c0008", "bogus")], 2), "one", LATER)
    told = {
        name: next(row for row in second.labels(SCHEME, name).to_pylist() if row["id"] == "c0008")
        for name in ("one", "two")
    }
    assert [(row["previous"], row["label"], row["round"], row["at"]) for row in told.values()] == [
        ("real", None, 1, NOW),
        (None, "bogus", 2, LATER),
    ]
    assert labels_of(second)["c0008"] == "real"


def test_only_the_current_version_is_relabelled_and_the_name_is_checked(workspace: Workspace) -> None:
    first = make(workspace)
    publish_relabelling(first, SCHEME, "eyes", changes([("c0008", None)]), None, NOW)
    with pytest.raises(StoreError, match="is at version 2: version 1 cannot be relabelled"):
        publish_relabelling(first, SCHEME, "later", changes([]), None, NOW)
    with pytest.raises(DatasetNameError, match=r"'\.\./out' is not a name"):
        publish_relabelling(Dataset.open(workspace, "made"), SCHEME, "../out", changes([]), None, NOW)


def test_suspects_are_recorded_with_round_score_and_reason(workspace: Workspace) -> None:
    make(workspace)
    one = select(workspace, [8, 9, 10])
    two = select(workspace, [12], source=one, number=2, handling="flip")
    dataset = Dataset.open(workspace, "made")
    originals, by_name = labels_of(dataset), {}
    for name in (one, two):
        by_name[name] = {row["id"]: row for row in dataset.labels(SCHEME, name).to_pylist() if row["reason"]}
    assert {name: row["label"] for name, row in by_name[one].items()} == {"c0008": None, "c0009": None, "c0010": None}
    assert {name: row["label"] for name, row in by_name[two].items()} == {"c0012": "bogus"}
    assert labels_of(dataset, two) == originals | {"c0008": None, "c0009": None, "c0010": None, "c0012": "bogus"}
    row = by_name[one]["c0009"]
    assert (row["previous"], row["round"], row["reason"]) == ("bogus", 1, "threshold:unlabel")
    assert row["score"] == pytest.approx(3, abs=0.1)
    assert (by_name[two]["c0012"]["round"], by_name[two]["c0012"]["reason"]) == (2, "threshold:flip")
    assert by_name[two]["c0012"]["score"] == pytest.approx(-3, abs=0.1)
    assert "first" in row["by"]


def test_relabellings_of_different_labels_have_different_names(workspace: Workspace) -> None:
    """One name, one content: also where a round on a relabelling suspects as many as one on the originals."""
    make(workspace)
    nothing = select(workspace, [])
    some = select(workspace, [8, 9])
    nothing_of_some = select(workspace, [], source=some)
    dataset = Dataset.open(workspace, "made")
    assert len({nothing, some, nothing_of_some}) == 3
    assert labels_of(dataset, nothing) == labels_of(dataset)
    assert labels_of(dataset, nothing_of_some) == labels_of(dataset, some)


def test_what_is_kept_keeps_its_label(workspace: Workspace) -> None:
    make(workspace)
    name = select(workspace, [8, 9, 10], handling="keep")
    dataset = Dataset.open(workspace, "made")
    assert labels_of(dataset, name) == labels_of(dataset)
    assert set(dataset.labels(SCHEME, name)["reason"].to_pylist()) == {None}


def test_a_rule_that_takes_a_whole_class_stops_with_counts_and_publishes_nothing(workspace: Workspace) -> None:
    make(workspace)
    reals = [row for row in range(COUNT) if row % 2 == 0]
    with pytest.raises(SuspectError, match=r"all 120 real labels are suspect \(120 are bogus\)"):
        select(workspace, reals, most_of_stratum=1.0)
    assert Dataset.open(workspace, "made").version == 1


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("mag", "mag bin 4 of 4"),
        ("galaxy_separation_re", "galaxy_separation_re bin 1 of 4"),
        ("detector", "detector chip3"),
        ("kind", "kind known_variable"),
    ],
)
def test_a_rule_that_takes_a_kind_of_candidate_stops_with_counts(
    workspace: Workspace, column: str, message: str
) -> None:
    """Of 60 in the stratum 12 is a fifth and passes, 13 are too many."""
    trained = [row for row in range(COUNT) if row // 4 % 8 > 1]
    faint = [row for at, row in enumerate(trained) if at // 4 % 4 == 3]
    assert (len(trained), len(faint)) == (240, 60)
    values: dict[str, list[Any]] = {
        "mag": [16 + 3 * (row in faint) + row / COUNT for row in range(COUNT)],
        "galaxy_separation_re": [3 - 2 * (row in faint) + row / COUNT for row in range(COUNT)],
        "detector": ["chip3" if row in faint else "chip1" for row in range(COUNT)],
        "kind": ["known_variable" if row in faint else "detection" for row in range(COUNT)],
    }
    make(workspace, **{column: values[column]})
    with pytest.raises(SuspectError, match=rf"13 of 60 labels with {message} are suspect, more than 20%"):
        select(workspace, faint[:13])
    assert Dataset.open(workspace, "made").version == 1
    select(workspace, faint[:12])
    select(workspace, faint[:13], most_of_stratum=0.25)
    assert Dataset.open(workspace, "made").version == 3


def test_a_relabelling_holds_in_the_training_part_alone(workspace: Workspace) -> None:
    dataset = make(workspace)
    split = dataset.split()
    assert split is not None
    first_of = {part: f"c{at:04d}" for part, at in (("validation", 0), ("test", 4), ("train", 8))}
    assert {row["part"] for row in split.to_pylist() if row["id"] in first_of.values()} == set(first_of)
    publish_relabelling(dataset, SCHEME, "eyes", changes([(name, None) for name in first_of.values()]), None, NOW)
    for lds in (0.0, 1.0):
        asked = CandidateTrainRequest(dataset="made", network="first", labels="eyes", loss_lds=lds)
        training = open_candidate_training(workspace, asked)
        parts = {name: training.part(name) for name in first_of}
        labelled = {name: dict(zip(part.ids, part.labels.tolist(), strict=True)) for name, part in parts.items()}
        assert labelled["validation"]["c0000"] == labelled["test"]["c0004"] == 1
        assert labelled["train"].get("c0008") == (UNLABELLED if lds else None)
        assert {name: len(part) for name, part in parts.items()} == {
            "validation": 40,
            "test": 40,
            "train": 240 if lds else 239,
        }


def test_a_relabelling_that_is_not_there_and_one_without_labels_are_named(workspace: Workspace) -> None:
    dataset = make(workspace)
    asked = CandidateTrainRequest(dataset="made", network="first", labels="nobodys")
    with pytest.raises(StoreError, match="has no relabelling 'nobodys'"):
        open_candidate_training(workspace, asked).part("train")
    every = [(name, None) for name in labels_of(dataset)]
    publish_relabelling(dataset, SCHEME, "nobodys", changes(every), None, NOW)
    with pytest.raises(PartError, match="part 'train' of dataset 'made' has no sample labelled"):
        open_candidate_training(workspace, asked).part("train")


def test_the_removed_cannot_take_part_in_the_smoothness() -> None:
    with pytest.raises(ValueError, match=r"handling=remove with loss_lds=0\.5: a removed candidate takes part in noth"):
        CandidateRelabelRequest(dataset="made", handling="remove", loss_lds=0.5)


def with_weights(rows: Sequence[tuple[str, str | None]], **columns: Sequence[float | None]) -> pa.Table:
    table = changes(rows)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(list(values), pa.float32()))
    return table


def test_weights_and_targets_are_of_the_changed_and_stay_in_a_later_relabelling() -> None:
    before = pa.table({"id": ["a", "b", "c"], "label": ["real", "bogus", "real"]})
    one = relabelled(before, with_weights([("a", "real"), ("b", "bogus")], weight=[0.25, 0.5]), NOW)
    assert one["weight"].to_pylist() == [0.25, 0.5, None]
    two = relabelled(one, with_weights([("b", "bogus")], target_real=[0.75], target_bogus=[0.25]), LATER)
    assert two["weight"].to_pylist() == [0.25, None, None]
    assert two["target_real"].to_pylist() == [None, 0.75, None]
    assert relabelled(two, changes([("a", None)]), LATER)["weight"].to_pylist() == [None] * 3


def test_a_row_of_targets_sums_to_the_weight_and_follows_the_label_that_was_changed() -> None:
    """Votes (0.9, 0.1) are the targets of the original labels, so that a changed label replaces them."""
    votes = np.tile(np.array([[0.9, 0.1]], np.float32), (4, 1))
    ids = list("abcd")
    part = SplitPart(ids, np.arange(4), np.array([0, 0, 1, 0], np.int32), ids, votes)
    originals = pa.table({"id": ids, "label": ["bogus"] * 4})
    table = with_weights(
        [("a", "bogus"), ("b", "bogus"), ("c", "real"), ("d", "bogus")],
        weight=[None, 0.5, None, None],
        target_bogus=[None, None, None, 0.25],
        target_real=[None, None, None, 0.75],
    )
    targets = with_targets(part, table, originals, ["bogus", "real"]).targets
    np.testing.assert_allclose(targets, [[0.9, 0.1], [0.45, 0.05], [0, 1], [0.25, 0.75]])
    hard = with_targets(replace(part, targets=None), table, originals, ["bogus", "real"]).targets
    np.testing.assert_allclose(hard, [[1, 0], [0.5, 0], [0, 1], [0.25, 0.75]])
    assert hard is not None
    assert hard.dtype == np.float32
    plain = with_targets(replace(part, targets=None), changes([("a", "bogus")]), originals, ["bogus", "real"])
    assert plain.targets is None
