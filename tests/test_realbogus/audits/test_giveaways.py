"""Checks of give-aways: equal laws pass, each broken law is found, and the shipped injections pass on small chips."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import realbogus
from realbogus.audits.checks import area_under_curve, check_near, false_positive_rate, estimate_by_group, score_by_forest
from realbogus.audits.flawed_injections import Flaw, inject_flawed
from realbogus.audits.giveaways import check_distributions, check_giveaways, check_headline, check_positions
from realbogus.audits.injection_positions import InjectionPositions
from realbogus.audits.matched_pairs import MatchedPairs, match_sources
from realbogus.audits.residuals import check_residuals, check_stars
from realbogus.audits.source_sample import INJECTED, SCENE, STAR, SourceSample, join_samples
from realbogus.audits.visit_audit import audit_visit, join_audits
from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.psf.measure import measure_psf
from realbogus.simulation.survey import Survey, SurveySettings
from realbogus.subtraction import kernel_fit
from realbogus.subtraction.subtract import subtract

SIDE, SKY, GAIN, REFERENCE_DEPTH = 29, 60.0, 0.23, 6.0


def point_profiles(x, y, sigma):
    """Return Gaussian stars of unit flux at sub-pixel phases, (n, side, side)."""
    step = np.arange(SIDE) - SIDE // 2
    across = np.exp(-((step - (x - np.floor(x + 0.5))[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
    up = np.exp(-((step - (y - np.floor(y + 0.5))[:, None]) ** 2) / (2 * sigma[:, None] ** 2))
    stars = up[:, :, None] * across[:, None, :]
    return stars / stars.sum(axis=(1, 2), keepdims=True)


def make_found(kind, count, seed, *, poisson=True, digitised=True, one_psf=False, off_px=0.0, smoothed=False):
    """Return sources on empty sky, of one law but for what the arguments say."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(20, 480, (2, count))
    sigma = 1.3 * (1 + 0.15 * (x / 250 - 1))
    flux = SKY * 4.6 * 10 ** rng.uniform(np.log10(12), np.log10(200), count)
    profile = point_profiles(x, y, sigma)
    light = flux[:, None, None] * (point_profiles(x, y, np.full(count, 1.3)) if one_psf else profile)
    if poisson:
        light = rng.poisson(light * GAIN) / GAIN
    sky = rng.normal(3600, SKY, light.shape)
    new = (np.round(sky) + light) if not digitised else np.round(sky + light)
    if smoothed:
        new = 3600 + ndimage.gaussian_filter(new - 3600, (0, 0.5, 0.5))
        new = np.round(new)
    reference = (
        np.round(REFERENCE_DEPTH * rng.normal(3600, SKY / np.sqrt(REFERENCE_DEPTH), new.shape)) / REFERENCE_DEPTH
    )
    found_x = x + off_px * rng.normal(size=count)
    claimed = np.where(np.floor(found_x + 0.5) == np.floor(x + 0.5), found_x, x)
    shared = {
        "snr": flux / SKY / 4.6,
        "galaxy_separation_re": np.full(count, 9.0),
        "finite_fraction": np.ones(count),
        "saturated": np.zeros(count),
        "seeing_px": np.full(count, 1.3 * 2.355),
        "difference_fwhm_px": np.full(count, 1.3 * 2.355),
        "gain_e_per_count": np.full(count, GAIN),
        "quantum_counts": np.ones(count),
        "saturation_counts": np.full(count, 3e5),
        "scale": np.ones(count),
        "rms_counts": np.full(count, SKY),
        "identity": np.zeros(count),
        "x_px": claimed,
        "y_px": y,
    }
    at_claim = point_profiles(claimed, y, sigma)
    stamps = np.stack([new, reference, new - reference], axis=-1).astype(np.float32)
    field = np.arange(count) % 20
    return SourceSample(np.full(count, kind, object), field, stamps, at_claim, at_claim, np.ones(count, bool), shared)


def pairs_of(scene, injected):
    joined = join_samples([scene, injected])
    return MatchedPairs(joined, joined.kind == INJECTED, joined.field % 5)


def verdicts(checks):
    return {check.name: check.passed for check in checks}


@pytest.fixture(scope="module")
def scene():
    return make_found(SCENE, 240, 1)


@pytest.fixture(scope="module")
def honest():
    return make_found(INJECTED, 240, 2)


def test_equal_laws_pass(scene, honest):
    pairs = pairs_of(scene, honest)
    checks = [check_headline(pairs, 0), *check_distributions(pairs, 0), *check_residuals(pairs.sample, INJECTED, 0)]
    assert all(verdicts(checks).values()), [check for check in checks if not check.passed]
    found = {check.name: check for check in checks}
    assert found["noise of its light"].low < 1 < found["noise of its light"].high
    assert abs(found["all numbers"].figure - 0.5) < 0.1


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ({"poisson": False}, "noise of its light"),
        ({"one_psf": True}, "one PSF"),
        ({"digitised": False}, "quantisation"),
        ({"off_px": 0.3}, "centring"),
        ({"smoothed": True}, "noise texture"),
    ],
)
def test_a_broken_law_fails_its_check(scene, broken, check):
    pairs = pairs_of(scene, make_found(INJECTED, 240, 3, **broken))
    checks = [*check_distributions(pairs, 0), *check_residuals(pairs.sample, INJECTED, 0)]
    assert verdicts(checks)[check] is False


def test_the_slope_of_the_noise_is_one_over_the_gain(scene, honest):
    (noise,) = [check for check in check_residuals(join_samples([scene, honest]), INJECTED, 0) if "light" in check.name]
    slopes = [float(word) for word in noise.remark.replace(" and", "").split()[1:3]]
    assert slopes == pytest.approx([1 / GAIN, 1 / GAIN], rel=0.15)


def test_injections_that_are_the_measured_psf_itself_miss_it_by_less_than_stars():
    """Stars whose PSF was measured wrongly by a tenth of its width have a larger chi2 than its own copies."""
    held = make_found(STAR, 300, 4)
    wrong = replace(held, profile_new=point_profiles(held.scalars["x_px"], held.scalars["y_px"], np.full(300, 1.45)))
    honest = make_found(INJECTED, 300, 5)
    assert check_stars(held, honest).passed
    assert check_stars(wrong, honest).passed is False


def test_phases_and_places_that_are_not_even_are_found():
    rng = np.random.default_rng(0)
    even = rng.uniform(-0.5, 0.5, (2000, 2))
    distances = rng.exponential(20, (600, 3))
    placement = InjectionPositions(even, distances[:300], distances[300:], np.full(5, 1e-5))
    assert all(verdicts(check_positions(placement)).values())
    coarse = replace(placement, phase=np.round(even * 4) / 4)
    assert verdicts(check_positions(coarse))["sub-pixel phase"] is False
    off_stars = replace(placement, random=np.maximum(placement.random, 8.0))
    assert verdicts(check_positions(off_stars))["distance to bright pixel"] is False
    assert verdicts(check_positions(replace(placement, flux_error=np.full(3, 0.01))))["flux at any phase"] is False


def test_area_and_rate_count_what_they_say():
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert area_under_curve(scores, labels) == 0.75
    assert area_under_curve(-scores, labels) == 0.25
    assert np.isnan(area_under_curve(scores, np.ones(4, bool)))
    ten = np.arange(20.0)
    assert false_positive_rate(ten, ten >= 10) == 0
    assert false_positive_rate(ten, ten % 2 == 1) == pytest.approx(0.9, abs=0.1)


def test_an_interval_counts_groups_not_rows():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=30), 50)
    by_row = estimate_by_group(lambda rows: values[rows].mean(), np.arange(1500), rng)
    by_group = estimate_by_group(lambda rows: values[rows].mean(), np.repeat(np.arange(30), 50), rng)
    assert by_group.error == pytest.approx(1 / np.sqrt(30), rel=0.3)
    assert by_group.error > 4 * by_row.error


def test_a_limit_is_widened_to_what_the_sample_resolves():
    estimate = estimate_with_error(0.55, 0.02)
    check = check_near(Question("auc", "?"), estimate, 0.5, 0.03, 10)
    assert check.passed
    assert check.most == pytest.approx(0.56)
    assert "resolves" in check.remark
    assert check_near(Question("auc", "?"), estimate_with_error(0.55, 0.005), 0.5, 0.03, 10).passed is False


def test_a_forest_is_judged_on_folds_it_has_not_seen():
    """A number that names each row tells nothing of other folds' rows; the label itself tells all."""
    rng = np.random.default_rng(0)
    fold, labels = np.repeat(np.arange(5), 40), rng.random(200) < 0.5
    by_name = score_by_forest(np.arange(200.0)[:, None], labels, fold, 0)
    assert abs(area_under_curve(by_name, labels) - 0.5) < 0.15
    assert area_under_curve(score_by_forest(labels[:, None], labels, fold, 0), labels) == 1


SMALL = SurveySettings(
    seed=5,
    height_px=400,
    width_px=500,
    stars=5000,
    transients_per_visit=16,
    variables=0,
    asteroids=0,
    flares=0,
)
WORK = VisitSettings(injection=InjectionSettings(per_visit=12, faintest_snr=6, brightest_snr=150))
VISITS, CALIPER = 14, 8.0
FLAWS = (Flaw.QUANTISATION, Flaw.PASTED, Flaw.CENTRING)


@pytest.fixture(scope="module")
def audit():
    survey, parts = Survey(SMALL), []
    for number in range(VISITS):
        chip = number * 11 % 84
        visit = survey.chip_visit(0, chip, number)
        parts.append(audit_visit(visit, WORK, FLAWS, SkyCell(chip, number), np.random.default_rng(number)))
    return join_audits(parts)


def test_shipped_injections_pass_every_check(audit):
    checks, count = check_giveaways(audit.detections, audit.stars, audit.positions, 0, caliper=CALIPER)
    assert count > 20
    assert [check.name for check in checks if check.passed is False] == []
    assert {"all numbers", "pixels", "border", "quantisation", "pasted difference", "centring"} <= set(verdicts(checks))


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_injection_is_separated_from_the_scene(audit, flaw):
    pairs = match_sources(audit.detections, flaw, caliper=CALIPER)
    headline = check_headline(pairs, 0)
    assert headline.figure > (0.75 if flaw is Flaw.CENTRING else 0.9)
    assert headline.passed is False
    own = {Flaw.QUANTISATION: "quantisation", Flaw.PASTED: "pasted difference", Flaw.CENTRING: "centring"}[flaw]
    assert verdicts(check_distributions(pairs, 0))[own] is False


def test_pairs_are_alike_and_of_one_fold(audit):
    pairs = match_sources(audit.detections, caliper=CALIPER)
    half = len(pairs)
    assert not pairs.injected[:half].any()
    assert pairs.injected[half:].all()
    assert np.array_equal(pairs.fold[:half], pairs.fold[half:])
    for field in np.unique(pairs.sample.field):
        assert len(set(pairs.fold[pairs.sample.field == field])) == 1
    snr = np.log10(pairs.sample.scalars["snr"])
    assert np.abs(snr[:half] - snr[half:]).max() < 8 * 0.06
    assert pairs.sample.alone.all()


def test_too_few_cells_are_named(audit):
    few = audit.detections.take(audit.detections.field < 3)
    with pytest.raises(ValueError, match="3 sky cells"):
        match_sources(few)


def test_a_flaw_changes_one_thing(case):
    """Two bright sources of one PSF have its stamp wherever they lie; a source without noise is the PSF itself."""
    clean = case.simulated.pair.new
    measured = measure_psf(clean)
    psf = replace(measured, jackknife=measured.jackknife[:0])
    settings = InjectionSettings(per_visit=1, brightest_snr=3000, faintest_snr=2999, galaxy_fraction=0)
    rng = np.random.default_rng(1)
    for flaw, frozen in ((Flaw.NOISE_FREE, False), (Flaw.ONE_PSF, True), (Flaw.QUANTISATION, False)):
        frame, injected = inject_flawed(clean, psf, case.hosts, settings, flaw, rng)
        (x,), (y,) = injected.injections.x, injected.injections.y
        column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        at = (x - column, y - row) if frozen else (x, y)
        expected = psf.at(*(np.array([place]) for place in at))[0] * injected.injections.flux_counts[0]
        middle = psf.size // 2
        expected = expected[middle - 3 : middle + 4, middle - 3 : middle + 4]
        drawn = injected.image[row - 3 : row + 4, column - 3 : column + 4]
        noise = 0.51 if flaw is Flaw.NOISE_FREE else 5 * np.sqrt(expected.max() / clean.gain_e_per_count)
        assert np.abs(drawn - expected).max() < noise
        fraction = np.abs(frame.pixels - np.round(frame.pixels))[row - 3 : row + 4, column - 3 : column + 4]
        assert (fraction.max() > 0.1) == (flaw is Flaw.QUANTISATION)


def test_the_subtraction_is_told_nothing_of_the_injections(case):
    """The kernel is fitted without a list: subtracting the injected frame again gives the same difference."""
    worked = case.worked
    again = subtract(worked.difference.pair, psf_new=worked.psf)
    assert np.array_equal(again.pixels, worked.difference.pixels, equal_nan=True)
    for function in (subtract, kernel_fit.fit_kernel):
        assert not [name for name in inspect.signature(function).parameters if "inject" in name]
    assert not any(name.startswith("injection.") for name in imports_of("subtraction.subtract"))
    assert subtract.__doc__


FOLDER = Path(realbogus.__file__).parent


def imports_of(module):
    """Return the modules of `realbogus`, without that name, which a module imports directly or through others."""
    seen, left = set(), [module]
    while left:
        for node in ast.walk(ast.parse((FOLDER / f"{left.pop().replace('.', '/')}.py").read_text())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "realbogus":
                continue
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found = {name.partition(".")[2] for name in names}
            found = {name for name in found if (FOLDER / f"{name.replace('.', '/')}.py").is_file()}
            left += sorted(found - seen)
            seen |= found
    return seen


def test_the_scene_and_the_injections_share_no_law():
    of_the_scene, of_injections = imports_of("simulation.survey"), imports_of("injection.inject")
    assert {"simulation.scene", "simulation.observation", "simulation.optics"} <= of_the_scene
    assert not {name.split(".")[0] for name in of_the_scene} & {"injection", "psf", "subtraction"}
    assert not any(name.startswith("simulation.") for name in of_injections)
    assert of_the_scene & of_injections <= {"frames"}
