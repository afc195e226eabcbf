"""Small chips of the simulated survey with enough stars for a PSF and a kernel, for tests of whole chip-visits."""

from dataclasses import dataclass

from realbogus.injection.chip_visit import VisitSettings, WorkedVisit
from realbogus.injection.inject import Hosts, InjectionSettings
from realbogus.simulation.survey import SimulatedVisit, SurveySettings

SMALL = SurveySettings(
    seed=3, height_px=400, width_px=500, stars=6000, transients_per_visit=3, variables=1, asteroids=1, flares=0
)
WORK = VisitSettings(injection=InjectionSettings(per_visit=40))


@dataclass(frozen=True)
class Case:
    """A simulated visit, its galaxies, and its processed candidates."""

    simulated: SimulatedVisit
    hosts: Hosts
    worked: WorkedVisit
