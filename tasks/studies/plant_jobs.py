"""Planting sources in a simulated chip-visit, as a worker does it: apart from Prefect, so that a worker starts fast."""

from dataclasses import dataclass

import numpy as np

from realbogus.audits.flawed_injections import Flaw
from realbogus.audits.planting import Planted, plant_visit
from realbogus.injection.chip_visit import VisitSettings
from realbogus.simulation.survey import Survey, SurveySettings
from tasks.candidates.staged_rows import VISIT_FAULTS

VISITS_A_NIGHT = 6
"""Seeing and sky are mostly a night's own: a few visits each sample many nights."""


@dataclass(frozen=True)
class PlantJob:
    """One chip-visit to plant sources in.

    Attributes
    ----------
    number : int
        Of the visit; it has a field of its own.
    chip : int
    survey : SurveySettings
    work : VisitSettings
    spoil : Flaw or None
        What is wrong with the injections; None lays them as they are shipped.
    """

    number: int
    chip: int
    survey: SurveySettings
    work: VisitSettings
    spoil: Flaw | None


def plant_sources(job: PlantJob) -> Planted | str:
    """Plant sources in a visit and return what came of them, or why the visit cannot be worked on."""
    night, visit = divmod(job.number, VISITS_A_NIGHT)
    simulated = Survey(job.survey).chip_visit(night, job.chip, visit)
    rng = np.random.default_rng([job.survey.seed, job.number, job.chip])
    spoils = () if job.spoil is None else (job.spoil,)
    try:
        return plant_visit(simulated, job.work, spoils, job.chip, job.number, rng, shipped=job.spoil is None)
    except tuple(VISIT_FAULTS) as fault:
        return str(fault)
