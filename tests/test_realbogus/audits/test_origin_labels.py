"""Origins of detections: light of known origin, sent through a known subtraction, names the detection."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal, sparse

from realbogus.audits.origin_labels import classify_origins, find_origins
from realbogus.injection.chip_visit import work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.model import constant_psf
from realbogus.simulation.light_by_origin import LightByOrigin
from realbogus.simulation.scene import SourceKind
from realbogus.simulation.survey import Survey
from realbogus.subtraction.detection import detect
from realbogus.subtraction.difference import Difference
from tests.small_survey import SMALL, WORK

SHAPE = (120, 160)
STEPS = np.arange(-8, 9)
PSF = constant_psf(np.exp(-(STEPS[:, None] ** 2 + STEPS**2) / (2 * 1.5**2)), SHAPE)
DARK = np.zeros(SHAPE, np.float32)


def spot(x, y, flux):
    return PSF.draw(np.array([x]), np.array([y]), np.array([flux]), SHAPE)


def difference_of(pixels, convolved="unknown", kernel=None, scale=1.0):
    return Difference(
        pixels=pixels,
        snr=pixels,
        flux_error=np.ones(SHAPE, np.float32),
        mask=np.zeros(SHAPE, np.uint8),
        psf=PSF,
        fwhm_px=3.5,
        matched_new=pixels,
        matched_reference=DARK,
        background=DARK,
        convolved=convolved,
        scale=scale,
        kernel=kernel,
        fit=None,
        pair=None,
    )


def named(difference, new, reference=None, shift=(0.0, 0.0), injected=DARK, at=(80.0, 60.0)):
    origins = LightByOrigin(new, reference or {}, shift)
    (origin,) = find_origins(difference, origins, injected, *(np.array([place]) for place in at))
    return origin


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"transient": 0.6, "star": 0.4}, "transient"),
        ({"transient": 0.4, "star": 0.6}, "star"),
        ({"transient": 0.48, "star": 0.48, "detector": 0.04}, "blend"),
        ({"injection": 0.7, "galaxy": 0.3}, "injection"),
        ({"star": 0.3}, "noise"),
        ({}, "noise"),
        ({"star": 0.45}, "noise"),
        ({"star": 0.9, "ghost": -0.35}, "star"),
    ],
)
def test_the_largest_share_of_the_flux_names_the_origin(shares, expected):
    measured = spot(80.3, 59.8, 1000)
    light = {name: spot(80.3, 59.8, 1000 * share) for name, share in shares.items()}
    injected = light.pop("injection", DARK)
    assert named(difference_of(measured), light, injected=injected, at=(80.3, 59.8)) == expected
    packed = {name: sparse.csr_array(image) for name, image in light.items()}
    assert named(difference_of(measured), packed, injected=injected, at=(80.3, 59.8)) == expected


def test_light_beside_the_filter_does_not_count():
    measured = spot(80, 60, 1000)
    assert named(difference_of(measured), {"star": spot(95, 60, 9e4), "asteroid": measured}) == "asteroid"
    nearer = {"star": spot(84, 60, 2000), "asteroid": measured}
    assert named(difference_of(measured), nearer) == "asteroid", "4 px off only a tenth passes the filter"


def test_light_that_the_reference_holds_counts_against():
    faded = spot(80, 60, 1500)
    assert (
        named(difference_of(1000 * spot(80, 60, 1)), {"variable": spot(80, 60, 1000), "star": faded}, {"star": faded})
        == "variable"
    )
    hole = {"detector": -spot(70, 55, 800)}
    assert named(difference_of(spot(80, 60, 800)), {}, hole, shift=(10.0, 5.0)) == "detector"
    assert named(difference_of(spot(80, 60, 800)), {}, hole, shift=(0.0, 0.0)) == "noise"


def test_the_references_counts_are_brought_to_the_new_frames():
    star = {"star": spot(80, 60, 500)}, {"star": spot(80, 60, 2000)}
    residual = difference_of(spot(80, 60, 300), scale=0.25)
    assert named(residual, *star) == "noise", "a star that subtracts to nothing leaves nothing"
    assert named(replace(residual, scale=0.1), *star) == "star"


@pytest.mark.parametrize("convolved", ["reference", "new"])
def test_light_goes_through_the_kernel_as_the_frames_did(convolved):
    steps = np.arange(-4, 5)
    broadening = np.exp(-(steps[:, None] ** 2 + steps**2) / 4)
    # The flux scale grows to the right, so the kernel has to be that of the place.
    terms = np.stack([0.8 * broadening, 0.3 * broadening, 0 * broadening]) / broadening.sum()
    kernel = VaryingKernel(terms, 1, SHAPE)
    local = kernel.at(np.array([130.0]), np.array([60.0]))[0]
    sharp = spot(130, 60, 5000)
    broad = signal.convolve(sharp, local, "same")
    new, reference = (broad, sharp) if convolved == "reference" else (sharp, broad)
    event = spot(131, 60, 400)
    measured = event if convolved == "reference" else signal.convolve(event, local, "same") / local.sum()
    residual, old, at = difference_of(measured, convolved, kernel), {"star": reference}, (130.0, 60.0)
    assert named(residual, {"star": new, "transient": event}, old, at=at) == "transient"
    assert named(residual, {"star": new}, old, at=at) == "noise", "the matched star is gone"
    assert named(residual, {"star": 1.08 * new}, old, at=at) == "star"


def test_places_at_the_edge_and_missing_pixels_are_borne():
    pixels = spot(1, 118, 1000) + spot(80, 60, 1000)
    pixels[:, :1], pixels[60, 82] = np.nan, np.nan
    unseen = np.zeros(SHAPE, np.float32)
    unseen[60, 82] = 1e5
    light = {"flare": spot(1, 118, 1000), "transient": spot(80, 60, 1000), "particle": unseen}
    origins = LightByOrigin(light, {}, (0.0, 0.0))
    injected = np.where(np.isnan(pixels), np.float32(np.nan), DARK)
    found = find_origins(difference_of(pixels), origins, injected, np.array([1.0, 80.0]), np.array([118.0, 60.0]))
    assert found == ["flare", "transient"]


def test_truth_is_a_choice_of_origins():
    origins = ["injection", "transient", "flare", "variable", "asteroid", "star", "ghost", "noise", "blend"]
    assert classify_origins(origins) == ["real"] * 5 + ["bogus"] * 3 + ["blend"]
    assert classify_origins(["variable", "transient"], real=("transient",)) == ["bogus", "real"]


def test_injections_have_the_origin_injection(case):
    worked = case.worked
    found = find_origins(
        worked.difference, case.simulated.light, worked.injected, worked.detections.x, worked.detections.y
    )
    rows = worked.table.to_pylist()
    by_row = dict(zip(worked.rows.tolist(), found, strict=True))
    injected = [by_row[row["number"]] for row in rows if row["found"]]
    others = [by_row[row["number"]] for row in rows if row["kind"] == "detection"]
    assert injected.count("injection") >= 0.8 * len(injected) > 5
    assert others.count("injection") <= 1
    assert len(set(others)) >= 2


def test_true_sources_have_their_own_origin():
    lively = SMALL.model_copy(update={"transients_per_visit": 12, "variables": 6, "asteroids": 6})
    simulated = Survey(lively).chip_visit(1, 22, 0)
    worked = work_visit(simulated.pair, hosts_of(simulated.galaxies), WORK, np.random.default_rng(0))
    detections = detect(worked.difference, WORK.threshold_sigma)
    detections = detections.take(detections.positive)
    origins = find_origins(worked.difference, simulated.light, worked.injected, detections.x, detections.y)
    names = {SourceKind.TRANSIENT: "transient", SourceKind.ASTEROID: "asteroid", SourceKind.VARIABLE: "variable"}
    is_named = []
    for truth in simulated.truth:
        away = np.hypot(detections.x - truth.x, detections.y - truth.y)
        if truth.kind in names and truth.flux_counts > 0 and away.min() < 1:
            is_named.append(origins[int(away.argmin())] == names[truth.kind])
    assert len(is_named) >= 6
    assert np.mean(is_named) >= 0.8
