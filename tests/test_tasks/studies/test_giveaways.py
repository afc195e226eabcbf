"""The audit for give-aways: its jobs, how checks are summarised, and its page."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from realbogus.audits.checks import Check
from realbogus.audits.flawed_injections import Flaw
from tasks.reports.page import Table
from tasks.runtime.workspace import Workspace
from tasks.store.errors import StoreError
from tasks.studies.audit_jobs import AUDITED_VISITS_A_NIGHT
from tasks.studies.giveaways import (
    ALL_NUMBERS,
    GiveawayRequest,
    account_of,
    check_dataset,
    checks_table,
    format_limit,
    giveaway_page,
    none_failed,
)
from tests.small_candidates import publish_candidates

SETTINGS: dict[str, Any] = {
    **{"chips": 3, "visits": 2, "scene_transients": 110.0, "injections_per_visit": 7, "height_px": 640},
    **{"width_px": 500, "spoil": "none", "dataset": None, "seed": 4},
}


def request(**changes: Any) -> GiveawayRequest:
    return GiveawayRequest(**SETTINGS | changes)


def check(figure: float = 0.5, least: float | None = 0.4, most: float | None = 0.6, **changes: Any) -> Check:
    values = {"name": ALL_NUMBERS, "question": "q", "low": 0.45, "high": 0.55, "count": 100, "remark": "r"}
    return Check(figure=figure, least=least, most=most, **values | changes)


def test_each_visit_has_a_field_of_its_own_and_chips_are_spread_over_the_mosaic() -> None:
    jobs = request().jobs()
    assert [(job.number, job.chip) for job in jobs] == [(0, 0), (1, 11), (2, 22), (3, 0), (4, 11), (5, 22)]
    assert request().count == len(jobs) == 6
    many = request(chips=84, visits=1).jobs()
    assert sorted(job.chip for job in many) == list(range(84)), "every chip once"
    survey, work = jobs[0].survey, jobs[0].work
    assert (survey.seed, survey.height_px, survey.width_px, survey.transients_per_visit) == (4, 640, 500, 110.0)
    assert work.injection.per_visit == 7
    assert AUDITED_VISITS_A_NIGHT == 6
    (varied, *_) = request(variable_fraction=0.25).jobs()
    assert (varied.survey.variable_share, varied.work.injection.variable_fraction) == (0.25, 0.25)


def test_a_flaw_is_passed_on_to_every_job() -> None:
    assert {job.flaw for job in request().jobs()} == {None}
    assert {job.flaw for job in request(spoil="pasted").jobs()} == {Flaw.PASTED}


@pytest.mark.parametrize("change", [{"chips": 0}, {"chips": 85}, {"visits": 0}, {"height_px": 95}, {"spoil": "bad"}])
def test_bad_requests_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        request(**change)


def test_a_check_is_summarised_with_null_for_what_is_unknown() -> None:
    assert account_of(check(0.123456789)) == {
        **{"figure": 0.12346, "low": 0.45, "high": 0.55, "least": 0.4, "most": 0.6},
        **{"passed": False, "count": 100},
    }
    bare = account_of(check(np.inf, None, None, low=np.nan, high=np.nan))
    assert bare == {
        **{"figure": None, "low": None, "high": None, "least": None, "most": None, "passed": None, "count": 100}
    }


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [(0.4, 0.6, "0.4 to 0.6"), (0.4, None, "≥ 0.4"), (None, 0.6, "≤ 0.6"), (None, None, ""), (0.0, 0.0, "0 to 0")],
)
def test_limits_are_written_as_a_range_or_one_end(least: float | None, most: float | None, text: str) -> None:
    assert format_limit(check(least=least, most=most)) == text


def test_only_a_check_beyond_its_limits_fails() -> None:
    assert none_failed([])
    assert none_failed([check(0.4), check(0.6), check(9.0, None, None)])
    assert not none_failed([check(0.5), check(0.61)])
    assert not none_failed([check(0.39)])


def test_checks_are_a_table_with_their_interval_limit_and_result() -> None:
    table = checks_table("c", [check(), check(0.7), check(0.7, None, None, low=np.nan, high=np.nan)])
    assert table == Table(
        "c",
        ("check", "question", "value", "95 % interval", "limit", "result", "rows", "remark"),
        [
            (ALL_NUMBERS, "q", 0.5, "0.45 to 0.55", "0.4 to 0.6", "passed", 100, "r"),
            (ALL_NUMBERS, "q", 0.7, "0.45 to 0.55", "0.4 to 0.6", "FAILED", 100, "r"),
            (ALL_NUMBERS, "q", 0.7, "", "", "reported", 100, "r"),
        ],
    )


def test_the_page_names_the_flaw_and_the_dataset_only_where_there_is_one() -> None:
    checks = [check(0.7), check(0.5, name="snr")]
    plain = giveaway_page(request(), checks, [], 250, 6)
    assert "0.700" in plain
    assert "0.450 to 0.550; 250 pairs of sources" in plain
    assert "6 simulated chip-visits" in plain
    assert "flawed on purpose" not in plain
    assert "Difficulty" not in plain
    flawed = giveaway_page(request(spoil="pasted", dataset="made"), checks, [check()], 250, 6)
    assert "Injections are flawed on purpose: pasted." in flawed
    assert "Candidates of dataset made" in flawed


def test_only_datasets_of_candidates_are_checked(workspace: Workspace) -> None:
    dataset = publish_candidates(workspace, "made", ["real"], ["cell"], ["test"])
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | {"problem": "galaxy"}))
    with pytest.raises(StoreError, match="dataset 'made' is of problem 'galaxy', not realbogus"):
        check_dataset(workspace, "made", 0)
