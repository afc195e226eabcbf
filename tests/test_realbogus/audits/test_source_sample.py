"""Samples of sources: selection and joining, stamps with another source, and the detections of a processed visit."""

import numpy as np
import pytest

from realbogus.audits.source_sample import (
    BOGUS,
    INJECTED,
    SCENE,
    STAR,
    SkyCell,
    are_alone,
    gather_detections,
    gather_stars,
    join_samples,
    read_injected_positions,
)
from realbogus.simulation.scene import SourceKind
from tests.small_sources import make_sample

CELL = SkyCell(detector=5, field=77)


def test_rows_are_taken_by_number_and_flag():
    sample = make_sample(SCENE, 6, 0)
    for taken in (sample.take(np.array([4, 1])), sample.take(np.isin(np.arange(6), [1, 4]))):
        assert len(taken) == 2
        assert set(taken.field) == {1, 4}
        for row in range(2):
            np.testing.assert_array_equal(taken.stamps[row], sample.stamps[taken.field[row]])
            assert taken.scalars["x_px"][row] == sample.scalars["x_px"][taken.field[row]]


def test_joined_samples_follow_each_other():
    one, two = make_sample(SCENE, 3, 0), make_sample(INJECTED, 2, 1)
    joined = join_samples([one, two])
    assert joined.kind.tolist() == [SCENE] * 3 + [INJECTED] * 2
    np.testing.assert_array_equal(joined.scalars["snr"], np.concatenate([one.scalars["snr"], two.scalars["snr"]]))
    np.testing.assert_array_equal(joined.profile_new[3:], two.profile_new)


@pytest.mark.parametrize(
    ("others", "alone"),
    [
        ([], True),
        ([(104.0, 50.0)], True),  # its own, 4 px away
        ([(100.0, 50.0), (102.0, 50.0)], False),  # two of its own
        ([(100.0, 50.0), (104.1, 50.0)], False),
        ([(115.4, 50.0)], False),  # inside the stamp, whose half width is 14.5, with a margin of 1
        ([(115.5, 50.0)], True),
        ([(100.0, 65.4)], False),
        ([(100.0, 34.5)], True),
        ([(112.0, 62.0)], False),
    ],
)
def test_a_stamp_is_alone_if_it_contains_no_other_source(others, alone):
    sources = np.array(others, float).reshape(-1, 2)
    assert are_alone(np.array([100.0]), np.array([50.0]), sources, 29).tolist() == [alone]


def test_the_positions_of_all_injections_are_read_whether_recovered_or_not(case):
    positions, is_random = read_injected_positions(case.worked)
    rows = [row for row in case.worked.table.to_pylist() if row["kind"] != "detection"]
    assert positions.tolist() == [[row["injected_x_px"], row["injected_y_px"]] for row in rows]
    assert is_random.tolist() == [row["kind"] == "random" or "random" in row["kind"] for row in rows]
    assert 0 < is_random.sum() < len(rows)


def test_detections_have_the_kind_of_what_they_match_and_the_stored_stamps(case):
    transients = [source for source in case.simulated.truth if source.kind is SourceKind.TRANSIENT]
    scene_xy = np.array([[source.x, source.y] for source in transients]).reshape(-1, 2)
    sample = gather_detections(case.worked, scene_xy, CELL)
    rows = [case.worked.table.to_pylist()[row] for row in case.worked.rows]
    stored = [row for row in rows if row["reason"] is None]
    assert len(sample) == len(stored)
    assert set(sample.kind) <= {INJECTED, SCENE, BOGUS}
    for kind, row in zip(sample.kind, stored, strict=True):
        if kind != SCENE:
            assert kind == (INJECTED if row["label"] == "real" else BOGUS)
    for kind, x, y in zip(sample.kind, sample.scalars["x_px"], sample.scalars["y_px"], strict=True):
        if kind == SCENE:
            assert np.hypot(*(scene_xy - (x, y)).T).min() < 3
    assert (sample.field == 77).all()
    assert (sample.scalars["detector"] == 5).all()
    assert sample.scalars["snr"].tolist() == [row["snr"] for row in stored]
    assert sample.scalars["identity"].max() < 1e-3, "new - K * reference - background = difference"
    size = sample.stamps.shape[1]
    assert sample.profile_new.shape == (len(sample), size, size)
    np.testing.assert_allclose(sample.profile_new.sum(axis=(1, 2)), 1, atol=0.05)
    centre = sample.stamps[:, size // 2, size // 2, 0]
    column = np.floor(sample.scalars["x_px"] + 0.5).astype(int)
    row = np.floor(sample.scalars["y_px"] + 0.5).astype(int)
    np.testing.assert_array_equal(centre, case.worked.difference.pair.new.pixels[row, column])


def test_held_out_stars_are_isolated_bright_and_away_from_the_edge(case):
    clean = case.simulated.pair.new
    sample = gather_stars(case.worked, clean, CELL, np.random.default_rng(0))
    assert len(sample) > 3
    assert (sample.kind == STAR).all()
    assert sample.alone.all()
    assert sample.scalars["snr"].min() > 25
    assert sample.scalars["snr"].max() < 150
    assert np.isnan(sample.scalars["galaxy_separation_re"]).all()
    size, (height, width) = sample.stamps.shape[1], clean.shape
    x, y = sample.scalars["x_px"], sample.scalars["y_px"]
    assert min(x.min(), y.min(), (width - 1 - x).min(), (height - 1 - y).min()) > size
