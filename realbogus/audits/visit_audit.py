"""The audit of a simulated visit: sources are injected, detected as in a build, and gathered with the scene's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from realbogus.audits.flawed_injections import Flaw, FlawedInjections, inject_flawed
from realbogus.audits.injection_positions import InjectionPositions, join_positions, measure_positions
from realbogus.audits.source_sample import (
    SkyCell,
    SourceSample,
    gather_detections,
    gather_stars,
    join_samples,
    read_injected_positions,
)
from realbogus.injection.chip_visit import VisitSettings, work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.psf.measure import measure_psf
from realbogus.records import RANDOM_INJECTION
from realbogus.simulation.scene import SourceKind
from realbogus.simulation.survey import SimulatedVisit


@dataclass(frozen=True)
class VisitAudit:
    """Detections, held-out stars and positions of injections, of one visit or of several."""

    detections: SourceSample
    stars: SourceSample
    positions: InjectionPositions


def join_audits(audits: Sequence[VisitAudit]) -> VisitAudit:
    """Concatenate audits, at least one."""
    return VisitAudit(
        join_samples([audit.detections for audit in audits]),
        join_samples([audit.stars for audit in audits]),
        join_positions([audit.positions for audit in audits]),
    )


def audit_visit(
    simulated: SimulatedVisit,
    settings: VisitSettings,
    flaws: Sequence[Flaw],
    cell: SkyCell,
    rng: np.random.Generator,
    *,
    flawed_only: bool = False,
) -> VisitAudit:
    """Inject sources into a visit whose scene has transients of its own, and gather the detections.

    Where injections are on variable sources, the scene's sources that became brighter since the reference count too.

    Parameters
    ----------
    simulated : SimulatedVisit
    settings : VisitSettings
    flaws : sequence of Flaw
        Flawed injections to add to the same frame, for each flaw the number in the settings.
    cell : SkyCell
    rng : numpy.random.Generator
    flawed_only : bool
        Whether injections without a flaw are left out.

    Raises
    ------
    AlignmentError, PsfError, KernelFitError, SubtractionError
        As in `work_visit`.
    """
    clean, hosts = simulated.pair.new, hosts_of(simulated.galaxies)
    frame, flawed = clean, list[FlawedInjections]()
    psf = measure_psf(clean)
    for flaw in flaws:
        frame, injections = inject_flawed(frame, psf, hosts, settings.injection, flaw, rng)
        flawed.append(injections)
    if flawed_only:
        settings = settings.model_copy(update={"injection": settings.injection.model_copy(update={"per_visit": 0})})
    worked = work_visit(replace(simulated.pair, new=frame), hosts, settings, rng)
    kinds = {SourceKind.TRANSIENT}
    if settings.injection.variable_fraction > 0:
        kinds.add(SourceKind.VARIABLE)
    transients = [source for source in simulated.truth if source.kind in kinds and source.flux_counts > 0]
    scene_xy = np.array([[source.x, source.y] for source in transients], float).reshape(-1, 2)
    injected_xy, is_random = read_injected_positions(worked)
    if flawed_only:
        injected_xy = np.concatenate([injections.positions for injections in flawed])
        is_random = np.concatenate([injections.injections.kind == RANDOM_INJECTION for injections in flawed])
    return VisitAudit(
        gather_detections(worked, scene_xy, cell, flawed),
        gather_stars(worked, clean, cell, rng),
        measure_positions(clean, worked.psf, injected_xy, is_random, rng),
    )
