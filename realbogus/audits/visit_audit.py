"""Planting sources in simulated visits, to compare what the chain makes of injections and of the scene's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from realbogus.audits.flawed_injections import Flaw, FlawedInjections, inject_flawed
from realbogus.audits.injection_positions import InjectionPositions, measure_positions, join_positions
from realbogus.audits.source_sample import (
    SourceSample,
    gather_detections,
    gather_stars,
    read_injected_positions,
    join_samples,
)
from realbogus.injection.chip_visit import VisitSettings, work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.psf.measure import measure_psf
from realbogus.records import RANDOM_INJECTION
from realbogus.simulation.scene import SourceKind
from realbogus.simulation.survey import SimulatedVisit


@dataclass(frozen=True)
class VisitAudit:
    """What came of one or several visits: detections, held-out stars, and where injections were laid."""

    found: SourceSample
    stars: SourceSample
    placement: InjectionPositions


def join_audits(parts: Sequence[VisitAudit]) -> VisitAudit:
    """Return all parts as one, one at least."""
    return VisitAudit(
        join_samples([part.found for part in parts]),
        join_samples([part.stars for part in parts]),
        join_positions([part.placement for part in parts]),
    )


def audit_visit(
    simulated: SimulatedVisit,
    settings: VisitSettings,
    spoils: Sequence[Flaw],
    detector: int,
    field: int,
    rng: np.random.Generator,
    shipped: bool = True,
) -> VisitAudit:
    """Work on a visit whose scene has transients of its own, with injections.

    Parameters
    ----------
    simulated : SimulatedVisit
    settings : VisitSettings
    spoils : sequence of Flaw
        As many injections of each as the settings ask for are laid too, in the same frame.
    detector, field : int
        Numbers of the chip and of the sky cell.
    rng : Generator
    shipped : bool
        Whether injections are laid as the chain ships them.

    Raises
    ------
    AlignmentError, PsfError, KernelFitError, SubtractionError
        As of `work_visit`.
    """
    clean, hosts = simulated.pair.new, hosts_of(simulated.galaxies)
    frame, spoiled = clean, list[FlawedInjections]()
    psf = measure_psf(clean)
    for spoil in spoils:
        frame, laid = inject_flawed(frame, psf, hosts, settings.injection, spoil, rng)
        spoiled.append(laid)
    if not shipped:
        settings = settings.model_copy(update={"injection": settings.injection.model_copy(update={"per_visit": 0})})
    worked = work_visit(replace(simulated.pair, new=frame), hosts, settings, rng)
    scene = np.array([[one.x, one.y] for one in simulated.truth if one.kind is SourceKind.TRANSIENT], float).reshape(
        -1, 2
    )
    places, random = read_injected_positions(worked)
    if not shipped:
        places = np.concatenate([one.places for one in spoiled])
        random = np.concatenate([one.injections.kind == RANDOM_INJECTION for one in spoiled])
    return VisitAudit(
        gather_detections(worked, scene, detector, field, spoiled),
        gather_stars(worked, clean, detector, field, rng),
        measure_positions(clean, worked.psf, places, random, rng),
    )
