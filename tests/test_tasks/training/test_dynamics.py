"""Outputs of a fit by epoch: those of an undisturbed fit wherever it was interrupted, and kept once it is finished."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.split_parts import PartError, SplitPart
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file
from tasks.training import dynamics
from tasks.training.dynamics import OUTPUTS_FILE, training_outputs
from tasks.training.training_task import TrainingTask
from tests.small_candidates import publish_candidates

COUNT = 48
EPOCHS = 2


@pytest.fixture
def training(workspace: Workspace) -> TrainingTask:
    """Of 36 candidates, every other one real, with 12 to validate on."""
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(COUNT)]
    parts = ["validation" if row // 2 % 4 == 0 else "train" for row in range(COUNT)]
    publish_candidates(workspace, "made", labels, [f"cell {row // 2}" for row in range(COUNT)], parts)
    request = CandidateTrainRequest(dataset="made", network="first", epochs=EPOCHS, batch_size=16)
    return open_candidate_training(workspace, request)


def parts_of(training: TrainingTask) -> tuple[SplitPart, SplitPart]:
    return training.part("train"), training.part("validation")


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class Died(BaseException):
    """The process is taken to have died."""


def test_an_interrupted_fit_gives_the_outputs_of_an_undisturbed_one(
    training: TrainingTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, broken = parts_of(training), tmp_path / "broken"
    whole = training_outputs(training, parts, tmp_path / "whole")
    assert (whole.shape, whole.dtype) == ((EPOCHS, len(parts[0].ids), 2), np.float32)
    assert np.isfinite(whole).all()
    assert not np.array_equal(whole[0], whole[1]), "the network learns from epoch to epoch"
    assert contents(tmp_path / "whole") == [OUTPUTS_FILE]

    @contextmanager
    def dies_in_the_second_epoch(target: Path) -> Iterator[Path]:
        if target.name == "outputs-0002.npy":
            raise Died
        with whole_file(target) as beside:
            yield beside

    with monkeypatch.context() as patch:
        patch.setattr(dynamics, "whole_file", dies_in_the_second_epoch)
        with pytest.raises(Died):
            training_outputs(training, parts, broken)
    assert not (broken / OUTPUTS_FILE).exists()
    (first,) = broken.rglob("outputs-*.npy")
    written = first.stat().st_mtime_ns
    seen: list[int] = []

    @contextmanager
    def told(target: Path) -> Iterator[Path]:
        seen.append(first.stat().st_mtime_ns)
        with whole_file(target) as beside:
            yield beside

    monkeypatch.setattr(dynamics, "whole_file", told)
    np.testing.assert_allclose(training_outputs(training, parts, broken), whole, atol=1e-4)
    assert seen == [written] * 2, "the second epoch and all of them are written, not the first again"
    assert contents(broken) == [OUTPUTS_FILE]


def test_a_finished_fit_is_read_without_the_network_s_library(
    training: TrainingTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    np.save(tmp_path / OUTPUTS_FILE, outputs)
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    np.testing.assert_array_equal(training_outputs(training, parts_of(training), tmp_path), outputs)


def test_training_samples_of_one_class_are_refused_and_leave_nothing(training: TrainingTask, tmp_path: Path) -> None:
    train, validation = parts_of(training)
    of_one = train.take(np.flatnonzero(train.labels == 1))
    with pytest.raises(PartError, match=r"the train part .*bogus"):
        training_outputs(training, (of_one, validation), tmp_path / "outputs")
    assert contents(tmp_path / "outputs") == []
