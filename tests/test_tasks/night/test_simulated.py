"""Simulated nights: what they are drawn from, their length, and that they continue where they were cut short."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.night import simulated
from tasks.night.simulated import (
    MADE,
    PROGRESS,
    NightToMake,
    finished_shards,
    make_night,
    night_folder,
    read_samples,
)
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_table
from tests.small_candidates import SIDE, publish_candidates

COUNT = 12
LENGTH = 2 * pixels.SHARD_ROWS + 10


@pytest.fixture
def survey(workspace: Workspace) -> Dataset:
    """Even candidates are truly real, the others bogus; the last two are blends."""
    real = [row % 2 == 0 for row in range(COUNT)]
    names = ["real"] * COUNT
    dataset = publish_candidates(workspace, "made", names, names, ["test"] * COUNT, real=real)
    truth = dataset.truth()
    assert truth is not None
    words = truth["truth"].to_pylist()
    words[-2:] = ["blend", None]
    write_table(dataset.path / "truth.parquet", truth.set_column(1, "truth", [words]))
    return dataset


def test_samples_are_the_true_reals_and_bogus_with_their_stamps(survey: Dataset) -> None:
    samples = read_samples(survey)
    assert samples.ids.tolist() == [f"c{row:04d}" for row in range(COUNT - 2)]
    assert samples.real.tolist() == [row % 2 == 0 for row in range(COUNT - 2)]
    np.testing.assert_array_equal(samples.stamps, np.asarray(survey.pixels[: COUNT - 2]))


def test_a_survey_without_truth_makes_no_night(workspace: Workspace) -> None:
    publish_candidates(workspace, "blind", ["real"], ["cell"], ["test"])
    with pytest.raises(StoreError, match="dataset blind has no hidden truth: make a night from a simulated survey"):
        make_night(workspace, NightToMake(dataset="blind", count=5))
    assert not (workspace.root / "nights").exists()


def test_a_night_has_the_requested_length_share_and_origin(workspace: Workspace, survey: Dataset) -> None:
    summary = make_night(workspace, NightToMake(dataset="made", count=LENGTH, real_share=0.25))
    folder = Path(summary["path"])
    assert folder == night_folder(workspace, survey, NightToMake(dataset="made", count=LENGTH, real_share=0.25))
    assert folder.parent == workspace.root / "nights"
    assert folder.name.startswith(f"made-{LENGTH}-")
    assert (summary["count"], summary["dataset"]) == (LENGTH, "made@1")
    array = pixels.open_array(folder)
    assert array.shape == (LENGTH, SIDE, SIDE, 3)
    assert array.attrs["pixels"] == "simulated, redrawn"
    made = pq.read_table(folder / MADE)
    assert made.num_rows == LENGTH
    real = made["real"].to_numpy()
    assert summary["reals"] == real.sum()
    assert abs(real.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / LENGTH)
    assert real.tolist() == [int(name[1:]) % 2 == 0 for name in made["id"].to_pylist()]
    assert np.asarray(array[LENGTH - 1]).any(), "the last row is drawn"


@pytest.mark.parametrize(("share", "reals"), [(0.0, 0), (1.0, 20)])
def test_a_share_of_none_or_all_is_exact(workspace: Workspace, survey: Dataset, share: float, reals: int) -> None:
    assert make_night(workspace, NightToMake(dataset="made", count=20, real_share=share))["reals"] == reals


def test_a_finished_night_is_kept_and_another_request_is_another_night(workspace: Workspace, survey: Dataset) -> None:
    request = NightToMake(dataset="made", count=20)
    first = make_night(workspace, request)
    files = {path: path.stat().st_mtime_ns for path in Path(first["path"]).rglob("*")}
    assert make_night(workspace, request) == first
    assert {path: path.stat().st_mtime_ns for path in Path(first["path"]).rglob("*")} == files
    others = [{"count": 21}, {"real_share": 0.5}, {"seed": 1}]
    folders = {night_folder(workspace, survey, request.model_copy(update=change)) for change in others}
    assert len(folders | {Path(first["path"])}) == 4


def test_a_night_cut_short_continues_and_is_the_same(workspace: Workspace, survey: Dataset) -> None:
    request = NightToMake(dataset="made", count=LENGTH, real_share=0.5)
    folder = Path(make_night(workspace, request)["path"])
    whole, made = np.asarray(pixels.open_array(folder)[:]), pq.read_table(folder / MADE)
    assert finished_shards(folder) == 3
    (folder / PROGRESS).write_text(json.dumps({"shards": 1}))
    array = pixels.open_array(folder, writable=True)
    array[pixels.SHARD_ROWS :] = 0
    make_night(workspace, request)
    np.testing.assert_array_equal(np.asarray(pixels.open_array(folder)[:]), whole)
    assert pq.read_table(folder / MADE).equals(made)
    shutil.rmtree(folder)
    make_night(workspace, request)
    np.testing.assert_array_equal(np.asarray(pixels.open_array(folder)[:]), whole)


@pytest.mark.parametrize(
    ("module", "place"), [(pixels, "create"), (simulated, "write_table"), (simulated, "write_json")]
)
def test_a_night_whose_process_died_after_a_write_is_made_by_the_next(
    workspace: Workspace, survey: Dataset, monkeypatch: pytest.MonkeyPatch, module: ModuleType, place: str
) -> None:
    request = NightToMake(dataset="made", count=LENGTH)
    write = getattr(module, place)

    def write_and_die(*words: object) -> None:
        write(*words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, place, write_and_die)
        with pytest.raises(KeyboardInterrupt):
            make_night(workspace, request)
    array = pixels.open_array(Path(make_night(workspace, request)["path"]))
    assert (array.shape[0], array.attrs["pixels"]) == (LENGTH, "simulated, redrawn")


def test_a_shorter_night_is_the_beginning_of_a_longer_one_in_whole_shards(
    workspace: Workspace, survey: Dataset
) -> None:
    made = [
        pq.read_table(Path(make_night(workspace, NightToMake(dataset="made", count=count))["path"]) / MADE)
        for count in (pixels.SHARD_ROWS, LENGTH)
    ]
    assert made[1].slice(0, pixels.SHARD_ROWS).equals(made[0])


def test_a_night_without_progress_has_no_finished_shard(tmp_path: Path) -> None:
    assert finished_shards(tmp_path) == 0


@pytest.mark.parametrize("change", [{"count": 0}, {"real_share": 1.1}, {"real_share": -0.1}, {"seed": -1}])
def test_bad_requests_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        NightToMake(**{"dataset": "made", "count": 5, **change})
