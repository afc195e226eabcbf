"""Fixtures: two simulated visits, processed, that several test files share."""

import numpy as np
import pytest

from realbogus.injection.chip_visit import work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.simulation.survey import Survey
from tests.small_survey import SMALL, WORK, Case


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    """Two visits, by the frame that is convolved."""
    by_convolved: dict[str, Case] = {}
    for chip in (0, 22):
        simulated = Survey(SMALL).chip_visit(0, chip, 0)
        hosts = hosts_of(simulated.galaxies)
        worked = work_visit(simulated.pair, hosts, WORK, np.random.default_rng(chip))
        by_convolved[worked.difference.convolved] = Case(simulated, hosts, worked)
    assert set(by_convolved) == {"new", "reference"}
    return by_convolved


@pytest.fixture(scope="session", params=["new", "reference"])
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    """Each of the two visits."""
    return cases[request.param]
