"""Random views and redrawn candidates: symmetries, shifts that keep light, noise of a stated size, no label touched."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from realbogus.models.augmentation import (
    NOISE_STREAM,
    OFFSET_STREAM,
    SHIFT_STREAM,
    STRONG,
    STRONG_STREAM,
    StampAugmentation,
    random_view,
)
from realbogus.models.network_settings import Profile
from realbogus.models.networks import prepare_views
from realbogus.simulation.redrawing import (
    NOISE_SHARE,
    LabelledStamps,
    alter_stamps,
    apply_symmetries,
    redraw_candidates,
    shift_stamps,
)
from tasks.candidates.presets import load_preset
from tasks.candidates.training import candidate_fit_spec


def spots(count: int, side: int = 29, fwhm_px: float = 4.0) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    spot = 1000 * np.exp(-(x**2 + y**2) * 4 * np.log(2) / fwhm_px**2)
    return np.repeat(np.repeat(spot[None, ..., None], count, axis=0), 3, axis=-1).astype(np.float32)


def centroids(stamps: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: stamps.shape[1], : stamps.shape[2]] - (stamps.shape[1] - 1) / 2
    light = stamps.sum(axis=(1, 2))
    return np.stack([(stamps * axis[None, ..., None]).sum(axis=(1, 2)) / light for axis in (y, x)], axis=-1)


def view(stamps: np.ndarray, number: int = 0, **settings: float | bool) -> np.ndarray:
    return np.asarray(random_view(tf.constant(stamps), tf.constant([number, 7]), StampAugmentation(**settings)))  # type: ignore[arg-type]


def test_symmetries_are_the_eight_of_the_square_each_as_often() -> None:
    stamp = np.random.default_rng(0).normal(size=(1, 5, 5, 3)).astype(np.float32)
    eight = [np.rot90(one, turns, axes=(1, 2)) for one in (stamp, stamp[:, :, ::-1]) for turns in range(4)]
    views = view(np.repeat(stamp, 4000, axis=0), symmetries=True)
    which = [(views == one).all(axis=(1, 2, 3)) for one in eight]
    np.testing.assert_array_equal(np.sum(which, axis=0), 1)
    assert np.std([hits.sum() for hits in which]) < 5 * np.sqrt(4000 * 7 / 64)


def test_the_same_seed_gives_the_same_view_and_nothing_asked_changes_nothing() -> None:
    stamps = np.random.default_rng(1).normal(size=(3, 9, 9, 3)).astype(np.float32)
    settings: dict[str, float | bool] = {"symmetries": True, "shift_px": 0.5, "noise": 0.1}
    np.testing.assert_array_equal(view(stamps, 1, **settings), view(stamps, 1, **settings))
    assert (view(stamps, 1, **settings) != view(stamps, 2, **settings)).any()
    np.testing.assert_array_equal(view(stamps), stamps)


def test_a_shift_moves_the_centroid_of_all_planes_alike_and_keeps_the_light() -> None:
    stamps = spots(200)
    moved = view(stamps, shift_px=0.5)
    np.testing.assert_allclose(moved.sum(axis=(1, 2)), stamps.sum(axis=(1, 2)), rtol=1e-4)
    places = centroids(moved)
    np.testing.assert_allclose(places[:, 0], places[:, 2], atol=1e-4)
    assert np.abs(places).max() <= 0.5
    assert places[:, 0].std(axis=0) == pytest.approx(np.full(2, 1 / np.sqrt(12)), rel=0.15)


def test_noise_is_a_share_of_the_plane_s_own() -> None:
    stamps = np.random.default_rng(2).normal(100, [[[[3.0, 1.0, 5.0]]]], (300, 29, 29, 3)).astype(np.float32)
    added = view(stamps, noise=0.5) - stamps
    np.testing.assert_allclose(added.std(axis=(0, 1, 2)), 0.5 * np.array([3.0, 1.0, 5.0]), rtol=0.05)


def test_an_offset_is_one_constant_a_plane_of_at_most_a_share_of_its_noise() -> None:
    stamps = np.random.default_rng(2).normal(100, [[[[3.0, 1.0, 5.0]]]], (300, 29, 29, 3)).astype(np.float32)
    added = view(stamps, offset=0.5) - stamps
    np.testing.assert_allclose(np.ptp(added, axis=(1, 2)), 0, atol=1e-4)
    in_sigma = added[:, 0, 0] / np.array([3.0, 1.0, 5.0])
    assert np.abs(in_sigma).max() < 0.56, "the noise of a plane is measured to a few per cent"
    np.testing.assert_allclose(in_sigma.std(axis=0), 0.5 / np.sqrt(3), rtol=0.15)
    assert np.abs(np.corrcoef(in_sigma.T) - np.eye(3)).max() < 0.3, "planes are moved apart"


def test_missing_pixels_are_filled_before_they_move() -> None:
    stamps = spots(2)
    stamps[0, 3, 4, 1] = np.nan
    assert np.isfinite(view(stamps, symmetries=True, shift_px=0.5, noise=0.1)).all()


@pytest.mark.parametrize(
    ("settings", "prepares"), [({"symmetries": True}, True), ({"symmetries": True, "shift_px": 0.3}, False)]
)
@pytest.mark.parametrize("profile", ["published", "fixed"])
def test_views_are_those_of_raw_stamps_however_early_they_are_prepared(
    settings: dict[str, Any], prepares: bool, profile: Profile
) -> None:
    stamps = np.random.default_rng(9).normal(200, 7, (40, 29, 29, 3)).astype(np.float32) + spots(40)
    stamps[::5, 3, 4:9, 1] = np.nan
    preset = load_preset("simple", "small", profile).model_copy(update={"augmentation": StampAugmentation(**settings)})
    learner = candidate_fit_spec(preset, 29, None)
    assert (learner.prepare is not None) == prepares
    images, seed = tf.constant(stamps), tf.constant([4, 7])
    seen = learner.random_view(images if learner.prepare is None else learner.prepare(images), seed)
    expected = prepare_views(random_view(images, seed, preset.augmentation), preset)
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-4)
    assert (np.abs(np.asarray(seen) - prepare_views(stamps, preset)) > 0.1).any()


def test_no_draw_of_a_step_is_one_of_another_step_or_fit() -> None:
    plain = [(0, 0), SHIFT_STREAM, NOISE_STREAM, OFFSET_STREAM]
    streams = [*plain, *((one + STRONG_STREAM[0], two + STRONG_STREAM[1]) for one, two in plain)]
    seeds = [(step + one, fit + two) for step in range(5) for fit in range(5) for one, two in streams]
    assert len(set(seeds)) == len(seeds) == 200


def test_strong_views_follow_the_training_views_and_validation_has_none() -> None:
    stamps = np.random.default_rng(9).normal(200, 7, (40, 29, 29, 3)).astype(np.float32) + spots(40)
    stamps[::5, 3, 4:9, 1] = np.nan
    preset = load_preset("simple", "small", "fixed")
    losses = preset.losses.model_copy(update={"lds": 1.0, "smoothness": "consistency"})
    learner = candidate_fit_spec(preset.model_copy(update={"losses": losses}), 29, None)
    images, seed = tf.constant(stamps), tf.constant([4, 7])
    seen = learner.random_view(images, seed)
    views, strong = tf.split(seen, 2, axis=-1)
    np.testing.assert_allclose(
        views, prepare_views(random_view(images, seed, preset.augmentation), preset), rtol=1e-5, atol=1e-4
    )
    expected = prepare_views(random_view(images, tf.add(seed, STRONG_STREAM), STRONG), preset)
    np.testing.assert_allclose(strong, expected, rtol=1e-5, atol=1e-4)
    assert np.isfinite(strong).all()
    np.testing.assert_allclose(learner.plain_view(images), prepare_views(images, preset), rtol=1e-5, atol=1e-4)
    assert (learner.prepare, learner.mean_decay) == (None, 0.0)


def test_a_redrawn_candidate_is_turned_as_it_was_asked() -> None:
    stamps = np.random.default_rng(3).normal(size=(8, 5, 5, 3)).astype(np.float32)
    found = apply_symmetries(stamps, np.arange(8))
    for symmetry in range(8):
        before = stamps[symmetry] if symmetry < 4 else stamps[symmetry][:, ::-1]
        np.testing.assert_array_equal(found[symmetry], np.rot90(before, symmetry % 4))


def test_the_eight_symmetries_are_a_group() -> None:
    """None is another, one does nothing, each undoes one of them, and two after each other are one of the eight."""
    stamp = np.random.default_rng(7).normal(size=(1, 5, 5, 3)).astype(np.float32)
    eight = apply_symmetries(np.repeat(stamp, 8, axis=0), np.arange(8))
    name_of = {one.tobytes(): name for name, one in enumerate(eight)}
    assert len(name_of) == 8
    table = np.array(
        [
            [name_of[apply_symmetries(eight[one : one + 1], np.array([two])).tobytes()] for two in range(8)]
            for one in range(8)
        ]
    )
    nothing = name_of[stamp[0].tobytes()]
    for line in (*table, *table.T):
        assert sorted(line) == list(range(8))
    assert ((table == nothing).sum(axis=0) == 1).all()
    assert (table != table.T).any()  # a flip and a turn do not commute


def test_a_view_of_a_view_is_one_of_the_eight() -> None:
    stamp = np.random.default_rng(8).normal(size=(1, 5, 5, 3)).astype(np.float32)
    eight = {one.tobytes() for one in apply_symmetries(np.repeat(stamp, 8, axis=0), np.arange(8))}
    twice = view(view(np.repeat(stamp, 100, axis=0), 1, symmetries=True), 2, symmetries=True)
    assert {one.tobytes() for one in twice} == eight


def test_a_shift_by_phases_is_exact_and_can_be_undone() -> None:
    stamps = spots(4)
    by = np.array([[0.3, -0.4], [0.5, 0.5], [-0.2, 0.0], [0.0, 0.0]])
    moved = shift_stamps(stamps, by)
    np.testing.assert_allclose(centroids(moved)[:, 0], by, atol=2e-3)
    np.testing.assert_allclose(shift_stamps(moved, -by), stamps, atol=0.5)


def test_redrawing_adds_one_noise_to_new_and_difference_and_none_to_the_reference() -> None:
    rng = np.random.default_rng(4)
    stamps = rng.normal(100, 4, (400, 29, 29, 3)).astype(np.float32)
    stamps[..., 2] = stamps[..., 0] - stamps[..., 1]
    stamps[0, 2:5, 3, 1] = np.nan
    found = alter_stamps(stamps, np.random.default_rng(5))
    assert (np.isnan(found[0]).sum(), np.isnan(found[1:]).any()) == (3, False)
    np.testing.assert_allclose(found[1:, ..., 0] - found[1:, ..., 1], found[1:, ..., 2], atol=2e-3)
    assert found[1:, ..., 1].std() == pytest.approx(4, rel=0.02)
    assert found[1:, ..., 0].std() == pytest.approx(4 * np.hypot(1, NOISE_SHARE), rel=0.03)


def test_reals_are_drawn_as_often_as_asked() -> None:
    rng = np.random.default_rng(6)
    real = np.arange(50) % 5 == 0
    samples = LabelledStamps(np.arange(50).astype(str), rng.normal(size=(50, 9, 9, 3)).astype(np.float32), real)
    chosen, stamps = redraw_candidates(samples, 3000, 0.3, rng)
    assert stamps.shape == (3000, 9, 9, 3)
    assert abs(real[chosen].mean() - 0.3) < 5 * np.sqrt(0.21 / 3000)
    assert len(np.unique(chosen)) == 50
    only = LabelledStamps(samples.ids[real], samples.stamps[real], real[real])
    assert len(redraw_candidates(only, 20, 0.0, rng)[0]) == 20
