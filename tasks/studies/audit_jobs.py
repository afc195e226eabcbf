"""The audit of one simulated chip-visit, as a worker runs it; it does not import Prefect, so workers start fast."""

from dataclasses import dataclass

import numpy as np

from realbogus.audits.flawed_injections import Flaw
from realbogus.audits.source_sample import SkyCell
from realbogus.audits.visit_audit import VisitAudit, audit_visit
from realbogus.injection.chip_visit import VisitSettings
from realbogus.simulation.survey import Survey, SurveySettings
from tasks.candidates.building.staged_rows import VISIT_FAULTS

AUDITED_VISITS_A_NIGHT = 6
"""Seeing and sky vary mostly from night to night: a few visits each sample many nights."""


@dataclass(frozen=True)
class AuditJob:
    """One chip-visit to audit.

    Attributes
    ----------
    number : int
        Of the visit; each has a field of its own.
    chip : int
    survey : SurveySettings
    work : VisitSettings
    flaw : Flaw or None
        Flaw of the injections; None injects as a build does.
    """

    number: int
    chip: int
    survey: SurveySettings
    work: VisitSettings
    flaw: Flaw | None


def run_audit(job: AuditJob) -> VisitAudit | str:
    """Inject sources into a visit and return the detections, or the error for which the visit is rejected."""
    night, visit = divmod(job.number, AUDITED_VISITS_A_NIGHT)
    simulated = Survey(job.survey).chip_visit(night, job.chip, visit)
    rng = np.random.default_rng([job.survey.seed, job.number, job.chip])
    flaws = () if job.flaw is None else (job.flaw,)
    try:
        return audit_visit(
            simulated, job.work, flaws, SkyCell(job.chip, job.number), rng, flawed_only=job.flaw is not None
        )
    except tuple(VISIT_FAULTS) as fault:
        return str(fault)
