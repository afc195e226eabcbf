"""What is known of candidates that people are asked about: right answers of truth or injections, names of objects."""

from typing import Any

import pytest

from realbogus.records import BOGUS, GALAXY_INJECTION, RANDOM_INJECTION, REAL, VARIABLE_INJECTION
from realbogus.sources.object_kinds import KNOWN_ASTEROID, KNOWN_KINDS, KNOWN_TRANSIENT
from tasks.candidates.building.staged_rows import LEDGER_COLUMNS
from tasks.candidates.labelling import FACTS, HISTORY, gold_labels, known_object
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_candidates import SCHEME, publish_candidates

STORED = ["stored"] * 5
KINDS = [GALAXY_INJECTION, "detection", RANDOM_INJECTION, KNOWN_TRANSIENT, VARIABLE_INJECTION, GALAXY_INJECTION]


def publish(workspace: Workspace, name: str, real: list[bool] | None, **columns: list[Any]) -> Dataset:
    """Candidates of these kinds, all labelled bogus."""
    count = len(KINDS)
    told = {"kind": KINDS, **columns}
    return publish_candidates(
        workspace, name, [BOGUS] * count, ["c"] * count, ["train"] * count, real=real, columns=told
    )


def test_the_truth_of_a_simulation_is_the_right_answer_whatever_the_label_says(workspace: Workspace) -> None:
    real = [True, False, True, False, True, False]
    gold = gold_labels(publish(workspace, "simulated", real), SCHEME)
    assert gold == {f"c{row:04d}": REAL if flag else BOGUS for row, flag in enumerate(real)}


def test_without_a_truth_injections_of_every_kind_that_are_stored_are_known_to_be_real(workspace: Workspace) -> None:
    dataset = publish(workspace, "frames", None, status=[*STORED, "rejected"], reason=[None] * 5 + ["edge"])
    assert gold_labels(dataset, SCHEME) == {"c0000": REAL, "c0002": REAL, "c0004": REAL}


@pytest.mark.parametrize(
    ("kind", "parameters", "told"),
    [
        (KNOWN_TRANSIENT, '{"known_object": "SN 2026abc"}', "SN 2026abc (transient)"),
        (KNOWN_ASTEROID, '{"known_object": "(433) Eros", "z": 1}', "(433) Eros (asteroid)"),
        (KNOWN_TRANSIENT, None, "unnamed (transient)"),
        (KNOWN_TRANSIENT, "{}", "unnamed (transient)"),
        ("detection", '{"known_object": "SN 2026abc"}', None),
        (None, None, None),
    ],
)
def test_a_known_object_is_told_by_name_and_kind(kind: str | None, parameters: str | None, told: str | None) -> None:
    assert known_object({"kind": kind, "parameters": parameters}) == told


def test_each_kind_of_known_objects_has_a_word_of_its_own() -> None:
    words = {known_object({"kind": kind, "parameters": None}) for kind in KNOWN_KINDS}
    assert words == {"unnamed (transient)", "unnamed (variable)", "unnamed (asteroid)"}


def test_what_is_shown_is_of_the_ledger_and_none_of_it_tells_the_label() -> None:
    assert {*FACTS, *HISTORY} <= set(LEDGER_COLUMNS.names)
    telling = {"kind", "parameters", "injected_mag", "found", "group", "source", "label", "truth", "origin", "reason"}
    assert not telling & {*FACTS, *HISTORY}
    assert len(set(FACTS.values())) == len(FACTS)
