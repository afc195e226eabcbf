"""A processed chip-visit: every candidate accounted for, its pixels the frames', its numbers those injected."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.injection.candidate_table import CANDIDATES
from realbogus.injection.chip_visit import (
    CHANCE_SHIFT_PX,
    SurveyProducts,
    VisitSettings,
    cross_match,
    has_near,
    work_visit,
)
from realbogus.injection.host_galaxies import no_hosts
from realbogus.injection.inject import InjectionSettings, sky_limit_counts
from realbogus.psf.measure import PsfError
from realbogus.records import MATCH_RADIUS_PX
from realbogus.stamps import round_position
from realbogus.subtraction.alignment import AlignmentError, align
from realbogus.subtraction.detection import detect
from realbogus.subtraction.kernel_fit import KernelFitError
from realbogus.subtraction.subtract import SubtractionSettings, subtract
from tests.small_survey import WORK, Case


def rows_of(case: Case) -> list[dict]:
    return case.worked.table.to_pylist()


def places(points):
    return np.array(points, float).reshape(-1, 2).T


def test_nearest_pairs_are_matched_first_and_each_once():
    x, y = places([(10, 10), (11.5, 10), (40, 40), (80, 80)])
    found_x, found_y = places([(11, 10), (9.2, 10), (42.1, 40), (80, 82)])
    # (11, 10) is 0.5 from the second and 1.0 from the first, which then takes the next: 0.8 away.
    assert cross_match(x, y, found_x, found_y).tolist() == [1, 0, -1, 3]
    assert cross_match(x[:2], y[:2], found_x[:1], found_y[:1]).tolist() == [-1, 0]
    nothing = np.zeros(0)
    assert cross_match(nothing, nothing, found_x, found_y).tolist() == []
    assert cross_match(x, y, nothing, nothing).tolist() == [-1] * 4


def test_matching_does_not_depend_on_order():
    rng = np.random.default_rng(1)
    (x, y), (found_x, found_y) = rng.uniform(0, 60, (2, 200)), rng.uniform(0, 60, (2, 300))
    straight = cross_match(x, y, found_x, found_y)
    order, found_order = rng.permutation(200), rng.permutation(300)
    turned = cross_match(x[order], y[order], found_x[found_order], found_y[found_order])
    assert np.where(turned >= 0, found_order[turned], -1).tolist() == straight[order].tolist()
    taken = straight[straight >= 0]
    assert len(taken) == len(set(taken)) > 50
    away = np.hypot(x - found_x[straight], y - found_y[straight])[straight >= 0]
    assert away.max() <= MATCH_RADIUS_PX


def test_every_detection_and_every_injection_has_its_row(case):
    rows, detections = rows_of(case), case.worked.detections
    injected = [row for row in rows if row["found"] is not None]
    assert len(injected) == WORK.injection.per_visit
    found = sum(row["found"] for row in injected)
    assert 0 < found < len(injected)
    assert len(rows) == len(detections) + len(injected) - found
    assert [row["number"] for row in rows] == list(range(len(rows)))
    np.testing.assert_array_equal([rows[row]["x_px"] for row in case.worked.rows], detections.x)
    np.testing.assert_array_equal([rows[row]["y_px"] for row in case.worked.rows], detections.y)
    assert sorted(case.worked.rows.tolist()) == [row["number"] for row in rows if row["snr"] is not None]
    assert min(row["snr"] for row in rows if row["snr"] is not None) > WORK.threshold_sigma
    assert case.worked.table.schema.equals(CANDIDATES)


def test_labels_are_what_a_survey_knows(case):
    for row in rows_of(case):
        if row["found"] is None:
            expected = ("detection", "bogus")
        elif row["found"]:
            expected = (row["kind"], "real")
        else:
            expected = (row["kind"], None)
        assert (row["kind"], row["label"]) == expected
        assert (row["kind"] == "detection") == (row["injected_flux_counts"] is None)
        assert (row["host_mag"] is not None) == (row["kind"] == "galaxy_injection")
        assert (row["reason"] == "not_detected") == (row["found"] is False)
        if row["found"]:
            away = np.hypot(row["x_px"] - row["injected_x_px"], row["y_px"] - row["injected_y_px"])
            assert away <= MATCH_RADIUS_PX
        elif row["found"] is False:
            assert (row["x_px"], row["y_px"]) == (row["injected_x_px"], row["injected_y_px"])


def test_no_missed_injection_lies_on_a_free_detection(case):
    rows = rows_of(case)
    free = [(row["x_px"], row["y_px"]) for row in rows if row["kind"] == "detection"]
    for row in rows:
        if row["found"] is False:
            assert min(np.hypot(row["x_px"] - x, row["y_px"] - y) for x, y in free) > MATCH_RADIUS_PX


def test_the_number_of_a_row_tells_nothing_of_its_place(case):
    rows = rows_of(case)
    assert [row["number"] for row in rows] == list(range(len(rows)))
    heights = np.array([row["y_px"] for row in rows])
    assert sorted(heights) != heights.tolist()
    # Dealt at random, the rank of a height scatters about 0 by 1 / sqrt(n) in its correlation with the number.
    rank = np.argsort(np.argsort(heights))
    assert abs(np.corrcoef(rank, np.arange(len(rows)))[0, 1]) < 5 / np.sqrt(len(rows))


def test_triplets_are_cut_from_the_three_images_where_the_detector_says(case):
    worked, stored = case.worked, [row for row in rows_of(case) if row["reason"] is None]
    assert worked.pixels.shape == (len(stored), 29, 29, 3)
    assert worked.pixels.dtype == np.float32
    pair = align(case.simulated.pair)
    planes = (pair.new.pixels + worked.injected, pair.reference.pixels, worked.difference.pixels)
    for row, triplet in zip(stored, worked.pixels, strict=True):
        column, line = (int(round_position(row[axis])[0]) for axis in ("x_px", "y_px"))
        for channel, plane in enumerate(planes):
            wide = np.pad(plane, 14, constant_values=np.nan)
            np.testing.assert_array_equal(triplet[..., channel], wide[line : line + 29, column : column + 29])
        assert row["mean"] == pytest.approx(np.nanmean(triplet[..., 2]), rel=1e-4, abs=1e-2)
        assert row["std"] == pytest.approx(np.nanstd(triplet[..., 2]), rel=1e-4)
        assert row["finite_fraction"] == pytest.approx(np.isfinite(triplet).mean())


def test_nothing_was_pasted_into_the_difference(case):
    """Subtracting the frame with its injections again, without a list of them, gives the same difference."""
    pair = align(case.simulated.pair)
    saturated = case.worked.difference.pair.new.mask
    new = pair.new.with_pixels(pair.new.pixels + case.worked.injected, saturated)
    again = subtract(replace(pair, new=new), psf_new=case.worked.psf)
    np.testing.assert_allclose(again.pixels, case.worked.difference.pixels, atol=0.01)


def test_found_injections_have_the_place_and_flux_that_were_injected(case):
    bright = [row for row in rows_of(case) if row["found"] and row["injected_snr"] > 15 and not row["saturated"]]
    assert len(bright) >= 5
    for axis in ("x", "y"):
        off = [row[f"{axis}_px"] - row[f"injected_{axis}_px"] for row in bright]
        assert abs(np.median(off)) < 0.15
    assert np.median([row["flux_counts"] / row["injected_flux_counts"] for row in bright]) == pytest.approx(1, abs=0.06)


def test_magnitudes_and_sky_positions_follow_from_the_frame(case):
    new = case.simulated.pair.new
    limit = sky_limit_counts(new, case.worked.psf)
    for row in rows_of(case):
        for flux, mag in (("flux_counts", "mag"), ("injected_flux_counts", "injected_mag")):
            if row[flux] is not None and row[flux] > 0:
                assert 10 ** (-0.4 * (row[mag] - new.zero_point_mag)) == pytest.approx(row[flux], rel=1e-9)
        if row["injected_flux_counts"] is not None:
            assert row["injected_snr"] == pytest.approx(row["injected_flux_counts"] / limit)
        x, y = new.wcs.all_world2pix(row["ra_deg"], row["dec_deg"], 0)
        assert (float(x), float(y)) == pytest.approx((row["x_px"], row["y_px"]), abs=1e-3)


def test_separations_from_galaxies_are_those_of_the_catalogue(case):
    hosts = case.hosts
    for row in rows_of(case):
        away = np.hypot(hosts.x - row["x_px"], hosts.y - row["y_px"]) * case.simulated.pair.new.pixel_arcsec
        assert row["galaxy_separation_re"] == pytest.approx((away / np.maximum(hosts.radius_arcsec, 0.1)).min())


def test_chance_matches_are_counted_a_little_beside(case):
    detections = case.worked.detections
    for row in rows_of(case):
        if row["found"] is None:
            assert row["chance_match"] is None
            continue
        away = np.hypot(detections.x - row["injected_x_px"] - CHANCE_SHIFT_PX, detections.y - row["injected_y_px"])
        assert row["chance_match"] == (away.min() <= MATCH_RADIUS_PX)


def test_the_generator_alone_decides_and_the_pair_is_left_alone(cases):
    case = cases["reference"]
    before = case.simulated.pair.new.pixels.copy()
    again = work_visit(case.simulated.pair, case.hosts, WORK, np.random.default_rng(22))
    assert again.table.equals(case.worked.table)
    np.testing.assert_array_equal(again.pixels, case.worked.pixels)
    np.testing.assert_array_equal(case.simulated.pair.new.pixels, before)
    other = work_visit(case.simulated.pair, no_hosts(), WORK, np.random.default_rng(5))
    kinds = set(other.table["kind"].to_pylist())
    assert kinds == {"random_injection", "detection"}, "no galaxy is known, so none is claimed"
    assert other.table["galaxy_separation_re"].null_count == other.table.num_rows
    assert other.table["injected_x_px"].to_pylist() != again.table["injected_x_px"].to_pylist()


def test_a_visit_of_no_injections_and_no_detections_is_empty(cases):
    pair = cases["reference"].simulated.pair
    settings = VisitSettings(injection=InjectionSettings(per_visit=0), threshold_sigma=1e6)
    worked = work_visit(pair, no_hosts(), settings, np.random.default_rng(0))
    assert worked.table.num_rows == len(worked.rows) == 0
    assert worked.table.schema.equals(CANDIDATES)
    assert worked.pixels.shape == (0, 29, 29, 3)
    assert not worked.injected.any()


def test_a_difference_made_elsewhere_gets_the_injections_too(cases):
    case = cases["reference"]
    given = subtract(align(case.simulated.pair)).pixels
    engine = SubtractionSettings(engine="precomputed")
    settings = WORK.model_copy(update={"subtraction": engine})
    worked = work_visit(case.simulated.pair, case.hosts, settings, np.random.default_rng(22), SurveyProducts(given))
    np.testing.assert_allclose(worked.difference.pixels, given + worked.injected, atol=0.01)
    bright = [row for row in worked.table.to_pylist() if (row["injected_snr"] or 0) > 25]
    assert np.mean([row["found"] for row in bright]) > 0.7


def test_stamps_of_another_size_and_places_at_the_edge(cases):
    case = cases["reference"]
    settings = WORK.model_copy(update={"stamp_px": 121})
    worked = work_visit(case.simulated.pair, case.hosts, settings, np.random.default_rng(22))
    rows = worked.table.to_pylist()
    assert worked.pixels.shape[1:] == (121, 121, 3)
    assert len(worked.pixels) == sum(row["reason"] is None for row in rows)
    fully = [row for row in rows if row["reason"] is None and row["edge_distance_px"] > 61]
    assert max(row["finite_fraction"] for row in rows if (row["edge_distance_px"] or 99) < 30) < 1
    assert len(fully) > 3


def test_pairs_that_cannot_be_worked_on_say_why(cases):
    case = cases["reference"]
    pair, rng = case.simulated.pair, np.random.default_rng(0)
    with pytest.raises(AlignmentError):
        work_visit(replace(pair, new=replace(pair.new, wcs=None)), case.hosts, WORK, rng)
    starless = replace(pair.new, pixels=rng.normal(pair.new.background, pair.new.background_rms).astype(np.float32))
    with pytest.raises(PsfError, match="usable stars"):
        work_visit(replace(pair, new=starless), case.hosts, WORK, rng)
    empty = replace(
        pair.reference,
        pixels=rng.normal(pair.reference.background, pair.reference.background_rms).astype(np.float32),
        mask=np.zeros_like(pair.reference.mask),
    )
    with pytest.raises((KernelFitError, PsfError)):
        work_visit(replace(pair, reference=empty), case.hosts, WORK, rng)
    dark = replace(
        pair.new,
        pixels=np.full(pair.new.shape, np.nan, np.float32),
        mask=np.full(pair.new.shape, int(Mask.NO_DATA), np.uint8),
    )
    with pytest.raises(ValueError, match="usable"):
        work_visit(replace(pair, new=dark), case.hosts, WORK, rng)


def test_only_what_is_brighter_in_the_new_frame_counts(case):
    everything = detect(case.worked.difference, WORK.threshold_sigma)
    assert (~everything.positive).any()
    assert len(case.worked.detections) == int(everything.positive.sum())


@pytest.mark.parametrize(("distance", "is_near"), [(0.0, True), (2.0, True), (2.001, False)])
def test_a_detection_within_two_pixels_is_near(distance, is_near):
    at = np.array([10.0]), np.array([20.0])
    assert has_near(*at, at[0] + distance, at[1]).tolist() == [is_near]
    assert has_near(*at, at[0], at[1] - distance).tolist() == [is_near]
    assert cross_match(*at, at[0] + distance, at[1]).tolist() == [0 if is_near else -1]


def test_one_detection_can_be_near_several_places():
    x, y = places([(10, 10), (11, 10), (40, 40)])
    assert has_near(x, y, np.array([10.5]), np.array([10.0])).tolist() == [True, True, False]
    assert has_near(x, y, np.zeros(0), np.zeros(0)).tolist() == [False] * 3


def test_an_injection_keeps_its_nearest_detection_whatever_its_index() -> None:
    at = np.zeros(1), np.zeros(1)
    assert cross_match(*at, np.array([0.1, 0.5, 1.0]), np.zeros(3)).tolist() == [0]
    assert cross_match(*at, np.array([1.0, 0.5, 0.1]), np.zeros(3)).tolist() == [2]
    two = np.array([0.0, 0.4]), np.zeros(2)
    assert cross_match(*two, np.array([0.1, 1.9]), np.zeros(2)).tolist() == [0, 1]
