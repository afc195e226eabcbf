"""Matched pairs: assignment within a caliper, folds of sky cells, and samples that cannot be matched."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.audits.matched_pairs import FOLDS, assign_pairs, match_sources
from realbogus.audits.source_sample import INJECTED, SCENE, join_samples
from tests.small_sources import make_sample


@pytest.fixture(scope="module")
def sample():
    return join_samples([make_sample(SCENE, 120, 1), make_sample(INJECTED, 120, 2)])


def test_points_are_assigned_with_the_least_sum_of_distances():
    """Greedy matching would pair 1.0 with 1.1 and leave 0.0 with 3.0."""
    first, second = assign_pairs(np.array([[0.0], [1.0]]), np.array([[1.1], [3.0]]), 5.0)
    assert dict(zip(first.tolist(), second.tolist(), strict=True)) in ({0: 0, 1: 1}, {0: 1, 1: 0})
    first, second = assign_pairs(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[3.0, 4.0], [0.0, 0.0]]), 5.0)
    assert (first.tolist(), second.tolist()) == ([0, 1], [1, 0])


@pytest.mark.parametrize(("caliper", "pairs"), [(5.0, 1), (4.99, 0)])
def test_the_caliper_is_the_largest_distance(caliper, pairs):
    first, second = assign_pairs(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), caliper)
    assert len(first) == len(second) == pairs


def test_a_point_without_a_near_one_does_not_take_another_s():
    first, second = assign_pairs(np.array([[0.0], [100.0]]), np.array([[0.5], [1.0], [-50.0]]), 2.0)
    assert (first.tolist(), second.tolist()) == ([0], [0])


@pytest.fixture(scope="module")
def wide_pairs(sample):
    return match_sources(sample, caliper=8.0)


def test_pairs_are_of_both_kinds_in_the_same_fold_and_near_in_signal_to_noise(wide_pairs):
    half = len(wide_pairs)
    assert half > 20
    assert len(wide_pairs.sample) == 2 * half
    assert (wide_pairs.sample.kind[:half] == SCENE).all()
    assert (wide_pairs.sample.kind[half:] == INJECTED).all()
    np.testing.assert_array_equal(wide_pairs.injected, np.arange(2 * half) >= half)
    np.testing.assert_array_equal(wide_pairs.fold[:half], wide_pairs.fold[half:])
    np.testing.assert_array_equal(wide_pairs.fold, wide_pairs.sample.field % FOLDS)
    snr = np.log10(wide_pairs.sample.scalars["snr"])
    assert np.abs(snr[:half] - snr[half:]).max() <= 8 * 0.06


def test_a_smaller_caliper_gives_fewer_pairs(sample, wide_pairs):
    assert 0 < len(match_sources(sample, caliper=2.5)) < len(wide_pairs)


def test_stamps_with_another_source_or_a_missing_pixel_are_left_out(sample):
    alone = np.arange(len(sample)) % 3 > 0
    finite = np.where(np.arange(len(sample)) % 3 > 1, 1.0, 0.999)
    changed = replace(sample, alone=alone, scalars={**sample.scalars, "finite_fraction": finite})
    pairs = match_sources(changed, caliper=8.0)
    assert pairs.sample.alone.all()
    assert (pairs.sample.scalars["finite_fraction"] == 1).all()
    assert 0 < len(pairs) <= 40


def test_other_kinds_are_not_matched(sample):
    other = make_sample("quantisation", 120, 3)
    assert set(match_sources(join_samples([sample, other]), "quantisation", caliper=8.0).sample.kind) == {
        SCENE,
        "quantisation",
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda sample: sample.field < 4, "on 4 sky cells"),
        (lambda sample: sample.kind == SCENE, "0 injected and 120 scene sources"),
        (lambda sample: sample.kind == INJECTED, "120 injected and 0 scene sources"),
    ],
)
def test_a_sample_without_cells_or_kinds_is_refused_with_its_numbers(sample, rows, message):
    with pytest.raises(ValueError, match=message):
        match_sources(sample.take(rows(sample)))


def test_populations_that_do_not_overlap_are_refused(sample):
    snr = np.where(sample.kind == SCENE, 5.0, 5000.0)
    with pytest.raises(ValueError, match="no injected source matches"):
        match_sources(replace(sample, scalars={**sample.scalars, "snr": snr}))
