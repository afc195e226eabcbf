"""Planting sources in simulated visits, to compare what the chain makes of injections and of the scene's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from realbogus.audits.flawed_injections import Flaw, FlawedInjections, lay_spoiled
from realbogus.audits.placement import Placement, gather_placement, join_placements
from realbogus.audits.planted_sources import Found, gather_found, gather_stars, injected_places, join_found
from realbogus.injection.chip_visit import VisitSettings, work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.psf.measure import measure_psf
from realbogus.records import RANDOM_INJECTION
from realbogus.simulation.scene import Kind
from realbogus.simulation.survey import SimulatedVisit


@dataclass(frozen=True)
class Planted:
    """What came of one or several visits: detections, held-out stars, and where injections were laid."""

    found: Found
    stars: Found
    placement: Placement


def join_planted(parts: Sequence[Planted]) -> Planted:
    """Return all parts as one, one at least."""
    return Planted(
        join_found([part.found for part in parts]),
        join_found([part.stars for part in parts]),
        join_placements([part.placement for part in parts]),
    )


def plant_visit(
    simulated: SimulatedVisit,
    settings: VisitSettings,
    spoils: Sequence[Flaw],
    detector: int,
    field: int,
    rng: np.random.Generator,
    shipped: bool = True,
) -> Planted:
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
    AlignmentError, PsfError, MatchingError, SubtractionError
        As of `work_visit`.
    """
    clean, hosts = simulated.pair.new, hosts_of(simulated.galaxies)
    frame, spoiled = clean, list[FlawedInjections]()
    psf = measure_psf(clean)
    for spoil in spoils:
        frame, laid = lay_spoiled(frame, psf, hosts, settings.injection, spoil, rng)
        spoiled.append(laid)
    if not shipped:
        settings = settings.model_copy(update={"injection": settings.injection.model_copy(update={"per_visit": 0})})
    worked = work_visit(replace(simulated.pair, new=frame), hosts, settings, rng)
    scene = np.array([[one.x, one.y] for one in simulated.truth if one.kind is Kind.TRANSIENT], float).reshape(-1, 2)
    places, random = injected_places(worked)
    if not shipped:
        places = np.concatenate([one.places for one in spoiled])
        random = np.concatenate([one.injections.kind == RANDOM_INJECTION for one in spoiled])
    return Planted(
        gather_found(worked, scene, detector, field, spoiled),
        gather_stars(worked, clean, detector, field, rng),
        gather_placement(clean, worked.psf, places, random, rng),
    )
