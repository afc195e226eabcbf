"""Simulated visits that several test files share, and what came of working on them."""

from dataclasses import dataclass

import numpy as np
import pytest

from realbogus.injection.chip_visit import VisitSettings, WorkedVisit, work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.injection.inject import Hosts, InjectionSettings
from realbogus.simulation.survey import SimulatedVisit, Survey
from tests.small_survey import SMALL

WORK = VisitSettings(injection=InjectionSettings(per_visit=40))


@dataclass(frozen=True)
class Case:
    """A simulated visit, its galaxies, and what came of it."""

    simulated: SimulatedVisit
    hosts: Hosts
    worked: WorkedVisit


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    """Two visits, by the frame that is convolved."""
    found: dict[str, Case] = {}
    for chip in (0, 22):
        simulated = Survey(SMALL).chip_visit(0, chip, 0)
        hosts = hosts_of(simulated.galaxies)
        worked = work_visit(simulated.pair, hosts, WORK, np.random.default_rng(chip))
        found[worked.difference.convolved] = Case(simulated, hosts, worked)
    assert set(found) == {"new", "reference"}
    return found


@pytest.fixture(scope="session", params=["new", "reference"])
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    """Each of the two visits."""
    return cases[request.param]
