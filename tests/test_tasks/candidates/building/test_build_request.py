"""Rules of the request of a real/bogus build."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.candidates.building.build_request import MOST_ROUNDS, VISITS_A_NIGHT
from tasks.store.errors import DatasetNameError
from tests.small_candidates import candidate_request


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "zenodo"}, "source=zenodo needs path=FOLDER or path=FILE"),
        ({"path": "x"}, "source=simulated takes no path, path=x was given; did you mean source=frames"),
        ({"source": "frames", "path": "x", "known_objects": "simulated"}, "known_objects=simulated is for source=sim"),
        ({"conditions": {"hot_chip": 2}}, r"hot_chip=2: there are chips 0 to 1"),
        ({"conditions": {"hot_chip": "ccd1"}}, r"hot_chip='ccd1' is no chip: give its number, such as 3, or its name"),
        ({"conditions": {"seeing": 2}}, "unknown condition 'seeing'; there are: seeing_factor, extinction_mag, hot_ch"),
        ({"conditions": {"seeing_factor": 0.1}}, "seeing_factor"),
        ({"conditions": {"extinction_mag": -1}}, "extinction_mag"),
        ({"conditions": {"wrong_labels": 1.5}}, "wrong_labels"),
        (
            {"source": "alerts", "path": "x", "conditions": {"seeing_factor": 2}},
            r"conditions=\{'seeing_factor': 2.0\} are for source=simulated, not source=alerts",
        ),
        ({"engine": "precomputed"}, "engine=precomputed is for source=frames, not source=simulated"),
        ({"stamp_px": 10}, "stamp_px"),
        ({"stamp_px": 128}, "stamp_px"),
        ({"visits": VISITS_A_NIGHT + 1}, "visits"),
        ({"galaxy_fraction": -0.1}, "galaxy_fraction"),
        ({"limit": 0}, "limit"),
        ({"threshold_sigma": 0}, "threshold_sigma"),
    ],
)
def test_a_request_that_does_not_go_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        candidate_request(**changes)


def test_a_request_that_goes_together_is_accepted() -> None:
    candidate_request(known_objects="simulated")
    candidate_request(source="frames", path="x", engine="precomputed")
    candidate_request(source="triplets", path="x", known_objects="tns.csv")
    candidate_request(galaxy_fraction=0.0, injections_per_visit=0, limit=1)
    with pytest.raises(DatasetNameError):
        candidate_request(dataset="Bad/Name")


def test_the_settings_of_a_visit_and_of_the_survey_are_the_request_s() -> None:
    asked = candidate_request(
        galaxy_fraction=0.25, injections_per_visit=7, engine="zogy", threshold_sigma=4.0, stamp_px=31
    )
    work = asked.work
    assert (work.injection.per_visit, work.injection.galaxy_fraction) == (7, 0.25)
    assert candidate_request(variable_fraction=0.3).work.injection.variable_fraction == 0.3
    assert (work.subtraction.engine, work.threshold_sigma, work.stamp_px) == ("zogy", 4.0, 31)
    survey = candidate_request(scene_transients=2.0, diversity=0.5, seeing_arcsec=2.5, seed=9).survey
    assert (survey.seed, survey.transients_per_visit) == (9, 2.0)
    assert (survey.diversity, survey.seeing_fwhm_arcsec) == (0.5, 2.5)
    varied = candidate_request(variable_fraction=0.3, randomisation=0.5).survey
    assert (varied.variable_share, varied.randomisation) == (0.3, 0.5)


def test_a_share_among_the_stored_is_met_by_further_rounds_into_frames_alone() -> None:
    assert candidate_request(balance="asked").work.injection.rounds == 1
    assert candidate_request(balance="stored").work.injection.rounds == MOST_ROUNDS
    assert candidate_request(injection_rounds=3).work.injection.repeats == 3
    for named, change in (("balance=stored", {"balance": "stored"}), ("injection_rounds=2", {"injection_rounds": 2})):
        with pytest.raises(ValidationError, match=f"{named} injects into frames, but source=triplets has ready"):
            candidate_request(source="triplets", path="x", **change)
