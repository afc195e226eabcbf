"""Pictures of rejected candidates: cut again from the frame as it was, or the reason why there is none."""

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc

from realbogus.audits.pictures import draw_triplet
from realbogus.simulation.survey import SurveySettings
from tasks.candidates.building.collect import SimulatedVisits
from tasks.candidates.building.plan import plan_candidates
from tasks.candidates.building.rejected_stamps import MOST_FRAMES, RejectedStamps
from tasks.runtime.workspace import Workspace
from tests.small_candidates import candidate_request


def test_a_stamp_that_is_cut_again_is_the_one_that_the_build_cut(workspace: Workspace) -> None:
    request = candidate_request(source="simulated", injections_per_visit=0, chips=MOST_FRAMES + 1, visits=1)
    plan = plan_candidates(workspace, request)
    assert isinstance(plan.collector, SimulatedVisits)
    visits = SimulatedVisits(SurveySettings(seed=3, height_px=400, width_px=500, stars=6000.0), plan.collector.work)
    stamps = RejectedStamps(replace(plan, collector=visits))
    batch = visits.collect(plan.batches[0].key)
    rows = batch.table.filter(pc.equal(batch.table["status"], "stored")).to_pylist()
    assert rows
    for row, stored in zip(rows, batch.pixels, strict=True):
        np.testing.assert_array_equal(stamps.preview(row), draw_triplet(stored[..., :1], enlarge=1))
    others = [row | {"batch": visits.name_of(each.key)} for each, row in zip(plan.batches, rows * 9, strict=False)]
    assert [isinstance(stamps.preview(row), str) for row in others] == [False] * MOST_FRAMES + [True]
    row = rows[0]
    assert stamps.preview(row | {"batch": "elsewhere"}) == "of an earlier build"
    assert stamps.preview(row | {"kind": "visit"}) == "the whole chip-visit was rejected"
    assert stamps.preview(row | {"reason": "not_detected"}) == "nothing was detected"
    assert stamps.preview(row | {"kind": "galaxy_injection"}) == "no kept frame has the injected light"
