"""A study's fits: nested samples, the folds of its seeds, their order, and what is refused before the first."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.studies.galaxies.arms import ArmError, parse_arms
from tasks.studies.galaxies.fit_costs import expected_seconds, remaining_seconds
from tasks.studies.galaxies.training_study import BASELINES, TrainingStudy, TrainingStudyRequest, open_training_study
from tests.small_schemes import publish_schemes

COUNT = 110


@pytest.fixture
def published(workspace: Workspace) -> Workspace:
    publish_schemes(workspace, "eleven", count=COUNT, side=32, schemes=("deck-3",))
    return workspace


def request_of(**asked: Any) -> TrainingStudyRequest:
    arms = parse_arms(asked.pop("arms", ["cnn:deck", {"fitting": "head"}]))
    return TrainingStudyRequest(**{"dataset": "eleven", "arms": arms, "folds": 4} | asked)


def study_of(workspace: Workspace, **asked: Any) -> TrainingStudy:
    return open_training_study(workspace, request_of(**asked))


def test_seeds_score_other_galaxies_where_each_scores_one_fold(published: Workspace) -> None:
    study = study_of(published, seeds=[0, 1, 2, 3], sizes=[None])
    scored = [set(study.parts(fit)[2].ids) for fit in study.fits if fit.name == "cnn deck"]
    assert sum(map(len, scored)) == len(set.union(*scored)) == COUNT


def test_every_seed_scores_all_galaxies_where_it_scores_all_folds(published: Workspace) -> None:
    study = study_of(published, seeds=[0, 1], scored_folds="all")
    for seed in (0, 1):
        scored = [study.parts(fit)[2].ids for fit in study.fits if (fit.name, fit.seed) == ("cnn deck", seed)]
        assert sorted(name for ids in scored for name in ids) == sorted(study.part.ids)
    assert (study.fold_of(0) != study.fold_of(1)).any()


def test_sizes_are_nested_and_the_same_for_every_arm(published: Workspace) -> None:
    study = study_of(published, sizes=[None, 40, 12], seeds=[1, 0])
    assert study.sizes == [12, 40, None]
    fits = [(fit.seed, fit.size, fit.name) for fit in study.fits]
    names = [*BASELINES, "cnn deck", "cnn tuned random head only"]
    assert fits == [(seed, size, name) for seed in (1, 0) for size in (12, 40, None) for name in names]
    for seed in (0, 1):
        parts = [study.parts(fit) for fit in study.fits if (fit.seed, fit.name) == (seed, "cnn deck")]
        for smaller, larger in pairwise(parts):
            assert set(smaller[0].ids) < set(larger[0].ids)
            assert set(smaller[1].ids) <= set(larger[1].ids)
            assert smaller[2].ids == larger[2].ids
        assert [len(part[0]) for part in parts[:2]] == [12, 40]
        assert len(parts[1][1]) <= 10
        assert not set(parts[2][0].ids) & set(parts[2][2].ids)


def test_a_fit_s_files_follow_from_all_that_decides_it(published: Workspace) -> None:
    def names(**asked: Any) -> dict[str, str]:
        study = study_of(published, **asked)
        return {fit.name: study.settings(fit)["fit"] for fit in study.fits}

    plain, longer, other_folds = names(), names(epochs=3), names(folds=5)
    assert names(arms=["cnn:deck", "cnn:tuned", {"fitting": "head"}])["cnn deck"] == plain["cnn deck"]
    assert longer["cnn deck"] != plain["cnn deck"]
    assert longer["cnn tuned random head only"] == plain["cnn tuned random head only"], "it has no epochs"
    assert set(other_folds.values()).isdisjoint(plain.values())


def test_every_fit_has_a_state_of_its_own(published: Workspace) -> None:
    """Else a study that was killed and asked anew would go on with what another fold or size has learnt."""
    study = study_of(published, sizes=[12, None], scored_folds="all")
    jobs = [study.job(fit, fit.arm) for fit in study.fits if fit.arm is not None and fit.arm.fitting == "all"]
    assert len({job.path for job in jobs}) == len(jobs) == 8


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"sizes": [100, 100]}, r"sizes=\[100, 100\] names one twice"),
        ({"seeds": [1, 1]}, r"seeds=\[1, 1\] names one twice"),
        ({"sizes": [0]}, "greater than or equal to 1"),
        ({"arms": [{"name": "a", "fitting": "head", "methods": {"zoom": 0.1}}]}, "leave zoom out"),
        ({"arms": [{"name": "a", "fitting": "head", "optimizer": "sgd"}]}, "leave optimizer out"),
    ],
)
def test_a_request_that_is_no_study_is_refused(asked: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        request_of(**asked)


def test_a_study_needs_an_arm() -> None:
    with pytest.raises(ValidationError, match="name at least one arm"):
        TrainingStudyRequest(dataset="eleven")


def test_a_size_beyond_the_training_part_is_refused(published: Workspace) -> None:
    with pytest.raises(PartError, match=r"size 100 is more than the .* training images of fold 1: use 'all'"):
        study_of(published, sizes=[100])


def test_an_ablation_is_compared_with_its_base_and_the_arms_with_the_first(published: Workspace) -> None:
    ablation = parse_arms(["cnn:tuned"])[0]
    study = study_of(published, arms=["cnn:deck", "cnn:tuned"], ablation=ablation)
    assert [arm.name for arm in study.arms[:2]] == ["cnn deck", "cnn tuned"]
    assert study.references["cnn tuned"] == "cnn deck"
    assert study.references["cnn tuned without mirroring"] == "cnn tuned"
    assert set(study.changes) == {arm.name for arm in study.arms[2:]}
    assert not study.trainings["cnn tuned without mirroring"].preset.augmentation.mirror
    alone = open_training_study(published, TrainingStudyRequest(dataset="eleven", ablation=ablation))
    assert alone.arms[0] == ablation


def test_an_arm_is_not_taken_for_the_ablation_s_of_its_name(published: Workspace) -> None:
    other = {"name": "cnn tuned without mirroring", "preset": "deck"}
    with pytest.raises(ArmError, match="'cnn tuned without mirroring' is another one than the ablation's"):
        study_of(published, arms=["cnn:deck", other], ablation=parse_arms(["cnn:tuned"])[0])


def test_remaining_time_follows_the_fits_that_are_finished(published: Workspace) -> None:
    study = study_of(published, sizes=[20, None])
    network = [fit for fit in study.fits if fit.name == "cnn deck"]
    small, large = (expected_seconds(study, fit) for fit in network)
    assert small <= large
    assert remaining_seconds(study, [], network) == pytest.approx(small + large)
    cheap = [{"name": name, "size": 20, "seconds": 0.0} for name in BASELINES]
    assert remaining_seconds(study, cheap, network) == pytest.approx(small + large), "baselines say nothing of networks"
    done = [*cheap, {"name": "cnn deck", "size": 20, "seconds": 3 * small, "history": {}}]
    assert remaining_seconds(study, done, network[1:]) == pytest.approx(3 * large)
    assert remaining_seconds(study, done, []) == 0
    assert np.isfinite(remaining_seconds(study, done, study.fits))
