"""Checks of give-aways: equal distributions pass, each flaw fails its check, proper injections pass on small chips."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import realbogus
from realbogus.audits.flawed_injections import Flaw
from realbogus.audits.giveaways import check_distributions, check_giveaways, check_headline, check_positions
from realbogus.audits.injection_positions import InjectionPositions
from realbogus.audits.matched_pairs import match_sources
from realbogus.audits.residuals import check_residuals
from realbogus.audits.source_sample import INJECTED, SCENE, SkyCell
from realbogus.audits.visit_audit import audit_visit, join_audits
from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.simulation.survey import Survey, SurveySettings
from realbogus.subtraction import kernel_fit
from realbogus.subtraction.subtract import subtract
from tests.small_sources import make_sample, pairs_of


def results(checks):
    return {check.name: check.passed for check in checks}


@pytest.fixture(scope="module")
def scene():
    return make_sample(SCENE, 240, 1)


@pytest.fixture(scope="module")
def honest():
    return make_sample(INJECTED, 240, 2)


def test_equal_distributions_pass(scene, honest):
    pairs = pairs_of(scene, honest)
    checks = [check_headline(pairs, 0), *check_distributions(pairs, 0), *check_residuals(pairs.sample, INJECTED, 0)]
    assert all(results(checks).values()), [check for check in checks if not check.passed]
    by_name = {check.name: check for check in checks}
    assert by_name["noise of its light"].low < 1 < by_name["noise of its light"].high
    assert abs(by_name["all numbers"].figure - 0.5) < 0.1


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
def test_a_different_distribution_fails_its_check(scene, broken, check):
    pairs = pairs_of(scene, make_sample(INJECTED, 240, 3, **broken))
    checks = [*check_distributions(pairs, 0), *check_residuals(pairs.sample, INJECTED, 0)]
    assert results(checks)[check] is False


def test_phases_and_positions_that_are_not_uniform_fail():
    rng = np.random.default_rng(0)
    even = rng.uniform(-0.5, 0.5, (2000, 2))
    distances = rng.exponential(20, (600, 3))
    positions = InjectionPositions(even, distances[:300], distances[300:], np.full(5, 1e-5))
    assert all(results(check_positions(positions)).values())
    coarse = replace(positions, phase=np.round(even * 4) / 4)
    assert results(check_positions(coarse))["sub-pixel phase"] is False
    off_stars = replace(positions, random=np.maximum(positions.random, 8.0))
    assert results(check_positions(off_stars))["distance to bright pixel"] is False
    assert results(check_positions(replace(positions, flux_error=np.full(3, 0.01))))["flux at any phase"] is False


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


def test_proper_injections_pass_every_check(audit):
    checks, count = check_giveaways(audit.detections, audit.stars, audit.positions, 0, caliper=CALIPER)
    assert count > 20
    assert [check.name for check in checks if check.passed is False] == []
    assert {"all numbers", "pixels", "border", "quantisation", "pasted difference", "centring"} <= set(results(checks))


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_injection_is_separated_from_the_scene(audit, flaw):
    pairs = match_sources(audit.detections, flaw, caliper=CALIPER)
    headline = check_headline(pairs, 0)
    assert headline.figure > (0.75 if flaw is Flaw.CENTRING else 0.9)
    assert headline.passed is False
    own = {Flaw.QUANTISATION: "quantisation", Flaw.PASTED: "pasted difference", Flaw.CENTRING: "centring"}[flaw]
    assert results(check_distributions(pairs, 0))[own] is False


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


def test_the_subtraction_knows_nothing_of_the_injections(case):
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


def test_the_scene_and_the_injections_share_no_module():
    of_the_scene, of_injections = imports_of("simulation.survey"), imports_of("injection.inject")
    assert {"simulation.scene", "simulation.observation", "simulation.optics"} <= of_the_scene
    assert not {name.split(".")[0] for name in of_the_scene} & {"injection", "psf", "subtraction"}
    assert not any(name.startswith("simulation.") for name in of_injections)
    assert of_the_scene & of_injections <= {"frames", "readings"}  # containers: pixels, and where values were read
