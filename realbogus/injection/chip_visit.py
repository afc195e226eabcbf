"""One chip at one visit, from a pair of frames to labelled candidates: inject, subtract, detect, match, cut stamps.

Labels use only what a survey's pipeline has: an injection that is recovered is real, every other detection is taken
for bogus. The true origin of a detection in a simulated scene comes from `realbogus.audits.origin_labels`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field
from scipy.spatial import cKDTree

from realbogus.frames import Pair
from realbogus.injection.balance import InjectionCounts, missing_injections
from realbogus.injection.candidate_table import CANDIDATES, MatchedVisit, tabulate
from realbogus.injection.inject import Hosts, Injections, InjectionSettings, inject, plan_injections
from realbogus.injection.twin import detected_without
from realbogus.psf.measure import PsfModel, measure_psf
from realbogus.psf.stars import find_stars
from realbogus.records import GALAXY_INJECTION, MATCH_RADIUS_PX, RANDOM_INJECTION
from realbogus.stamps import cut, outside_frame, stamp_reasons
from realbogus.subtraction.alignment import align
from realbogus.subtraction.detection import Detections, detect
from realbogus.subtraction.difference import Difference
from realbogus.subtraction.subtract import SubtractionSettings, subtract

CHANCE_SHIFT_PX = 20.0


class VisitSettings(BaseModel):
    """How a chip-visit is processed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    injection: InjectionSettings = InjectionSettings()
    subtraction: SubtractionSettings = SubtractionSettings()
    threshold_sigma: float = Field(default=5.0, gt=0)
    """Least S/N of a detection; only sources brighter in the new frame are candidates."""
    stamp_px: int = Field(default=29, ge=11, le=127)
    """Width of a stamp, pixels."""


@dataclass(frozen=True)
class SurveyProducts:
    """Products of the survey's own pipeline that replace ours; each is optional.

    Attributes
    ----------
    difference : ndarray of shape (y, x)
        New minus reference without injections, for the engine ``precomputed``.
    psf_new, psf_reference : PsfModel
        Of the two frames.
    """

    difference: np.ndarray | None = None
    psf_new: PsfModel | None = None
    psf_reference: PsfModel | None = None


@dataclass(frozen=True)
class WorkedVisit:
    """The result of processing a chip-visit with one round of injections.

    Attributes
    ----------
    table : Table of `CANDIDATES`
        In random order, so that a row's number depends on nothing.
    pixels : ndarray of shape (n, stamp_px, stamp_px, 3) float32, counts
        New, aligned reference, difference, of the rows without a reason.
    difference : Difference
    detections : Detections
        The positive ones; of a further round those of its injections.
    rows : ndarray of int
        Row of the table of each detection.
    injected : ndarray of shape (y, x) float32, counts
        The light added to the new frame by the injections.
    psf : PsfModel
        Of the new frame.
    """

    table: pa.Table
    pixels: np.ndarray
    difference: Difference
    detections: Detections
    rows: np.ndarray
    injected: np.ndarray
    psf: PsfModel


def work_visit(
    pair: Pair,
    hosts: Hosts,
    settings: VisitSettings,
    rng: np.random.Generator,
    products: SurveyProducts | None = None,
) -> WorkedVisit:
    """Process one chip-visit with one round of injections.

    Parameters
    ----------
    pair : Pair
    hosts : Hosts
        Catalogued galaxies in the new frame's pixels.
    settings : VisitSettings
    rng : Generator
        Draws the injections.
    products : SurveyProducts, optional
        PSFs that are not given are measured.

    Raises
    ------
    AlignmentError, ExtractionError, PsfError, InjectionError, KernelFitError, SubtractionError
        The pair cannot be processed; the message says why.
    """
    return next(work_rounds(pair, hosts, settings, rng, products))


def work_rounds(
    pair: Pair,
    hosts: Hosts,
    settings: VisitSettings,
    rng: np.random.Generator,
    products: SurveyProducts | None = None,
) -> Iterator[WorkedVisit]:
    """Process one chip-visit, with further rounds of injections: the repeats, and those that the share lacks.

    The first round has `InjectionSettings.per_visit` injections, and so has each of its repeats. While the share near
    galaxies is not met, a further one has as many, of the kind that is stored too seldom, as are missing
    (`missing_injections`). No such round injects more than are missing, so the share is never overshot. They end when
    nothing is missing, after `InjectionSettings.rounds`, or where galaxies are needed and the frame has none.

    Every round is laid into the frame as it was without injections, so that stamps are no more crowded than those of
    one round. The result of any but the first holds the injections alone, because its other detections are those of
    the first round again.

    Parameters
    ----------
    pair, hosts, settings, products
        As in `work_visit`.
    rng : Generator
        Draws the injections of the first round; each further one has a stream spawned from it.

    Raises
    ------
    AlignmentError, ExtractionError, PsfError, InjectionError, KernelFitError, SubtractionError
        As in `work_visit`.
    """
    products = products or SurveyProducts()
    pair = align(pair)
    stars = find_stars(pair.new)
    psf = measure_psf(pair.new, stars) if products.psf_new is None else products.psf_new
    measured = replace(products, psf_new=psf)
    injection = settings.injection

    @cache
    def twin() -> Detections:
        """Detect without injections; one subtraction serves all rounds."""
        difference = subtract(pair, settings.subtraction, None, psf, products.psf_reference)
        return detect(difference, settings.threshold_sigma)

    injections = plan_injections(pair.new, psf, hosts, injection, rng, stars)
    worked = _work_round(pair, hosts, settings, rng, measured, injections, twin)
    stored = count_stored(worked.table)
    yield worked
    for stream in rng.spawn(injection.repeats - 1):
        injections = plan_injections(pair.new, psf, hosts, injection, stream, stars)
        worked = _work_round(pair, hosts, settings, stream, measured, injections, twin, injections_alone=True)
        stored = stored.join(count_stored(worked.table))
        yield worked
    for stream in rng.spawn(injection.rounds - 1):
        kind, count = missing_injections(stored, injection.galaxy_fraction)
        if count == 0 or (kind == GALAXY_INJECTION and len(hosts.inside(pair.new).x) == 0):
            return
        wanted = {"per_visit": count, "galaxy_fraction": float(kind == GALAXY_INJECTION), "variable_fraction": 0.0}
        injections = plan_injections(pair.new, psf, hosts, injection.model_copy(update=wanted), stream)
        worked = _work_round(pair, hosts, settings, stream, measured, injections, twin, injections_alone=True)
        stored = stored.join(count_stored(worked.table))
        yield worked


def _work_round(
    pair: Pair,
    hosts: Hosts,
    settings: VisitSettings,
    rng: np.random.Generator,
    products: SurveyProducts,
    injections: Injections,
    twin: Callable[[], Detections],
    *,
    injections_alone: bool = False,
) -> WorkedVisit:
    """Inject into an aligned pair, subtract, detect and tabulate.

    Parameters
    ----------
    pair : Pair
    hosts, settings, rng
        As in `work_visit`.
    products : SurveyProducts
        With the new frame's PSF.
    injections : Injections
    twin : callable
        Returns the detections of the pair without injections.
    injections_alone : bool
        Leave out the detections that are no injection.
    """
    psf = products.psf_new
    assert psf is not None
    new, injected = inject(pair.new, psf, injections, rng)
    precomputed = None if products.difference is None else products.difference + injected
    difference = subtract(replace(pair, new=new), settings.subtraction, None, psf, products.psf_reference, precomputed)
    detections = detect(difference, settings.threshold_sigma)
    detections = detections.take(detections.positive)
    matched = cross_match(injections.x, injections.y, detections.x, detections.y)
    by_chance = has_near(injections.x + CHANCE_SHIFT_PX, injections.y, detections.x, detections.y)
    if injections_alone:
        is_found = matched >= 0
        detections, matched[is_found] = detections.take(matched[is_found]), np.arange(is_found.sum())
    planes = (new.pixels, pair.reference.pixels, difference.pixels)
    stamps = cut(planes, detections.x, detections.y, settings.stamp_px)
    visit = MatchedVisit(
        detections=detections,
        injections=injections,
        matched=matched,
        detected_before=_detect_before(pair, difference, injected, injections, settings, twin),
        by_chance=by_chance,
        reasons=stamp_reasons(stamps, outside_frame(new.shape, detections.x, detections.y, settings.stamp_px)),
        stamps=stamps,
        frame=new,
        psf=psf,
        hosts=hosts,
    )
    table = tabulate(visit)
    order = np.lexsort((table["x_px"].to_numpy(), table["y_px"].to_numpy()))
    # shuffled, as a number that grows with y would reveal how many detections a visit has
    order = rng.permutation(order)
    rows = np.argsort(order)[: len(detections)]
    table = table.take(pa.array(order)).set_column(0, CANDIDATES.field(0), pa.array(np.arange(len(order)), pa.int32()))
    is_stored = [reason is None for reason in table["reason"].to_pylist()]
    return WorkedVisit(table, stamps[order[is_stored]], difference, detections, rows, injected, psf)


def count_stored(table: pa.Table) -> InjectionCounts:
    """Count the injections of a visit (columns kind, reason) whose triplets can be stored."""
    kinds = table.filter(pc.is_null(table["reason"]))["kind"].to_pylist()
    return InjectionCounts(kinds.count(GALAXY_INJECTION), kinds.count(RANDOM_INJECTION))


def _detect_before(
    pair: Pair,
    difference: Difference,
    injected: np.ndarray,
    injections: Injections,
    settings: VisitSettings,
    twin: Callable[[], Detections],
) -> np.ndarray:
    """Return which injections' places, (n,), are detected without them; the twin is asked only where it is needed.

    Parameters
    ----------
    pair : Pair
        Aligned, without injections; other parameters as in `_work_round` and `WorkedVisit`.
    """
    place, threshold = (injections.x, injections.y), settings.threshold_sigma
    if not len(injections):
        return np.zeros(0, bool)
    if difference.convolved == "reference" or settings.subtraction.engine == "precomputed":
        return detected_without(difference, pair, injected, *place, threshold)
    positive = twin().take(twin().positive)
    return has_near(*place, positive.x, positive.y)


def cross_match(x: np.ndarray, y: np.ndarray, detected_x: np.ndarray, detected_y: np.ndarray) -> np.ndarray:
    """Match n injections with m detections by position, one to one, nearest first, within 2 px.

    Parameters
    ----------
    x, y : ndarray of shape (n,), pixels
    detected_x, detected_y : ndarray of shape (m,), pixels

    Returns
    -------
    ndarray of int, shape (n,)
        Index of each injection's detection, -1 for none.
    """
    matched = np.full(len(x), -1)
    if len(x) == 0 or len(detected_x) == 0:
        return matched
    near = cKDTree(np.column_stack([x, y])).sparse_distance_matrix(
        cKDTree(np.column_stack([detected_x, detected_y])), MATCH_RADIUS_PX, output_type="ndarray"
    )
    used: set[int] = set()
    for pair in near[np.argsort(near["v"], kind="stable")]:
        if matched[pair["i"]] < 0 and int(pair["j"]) not in used:
            matched[pair["i"]] = pair["j"]
            used.add(int(pair["j"]))
    return matched


def has_near(x: np.ndarray, y: np.ndarray, detected_x: np.ndarray, detected_y: np.ndarray) -> np.ndarray:
    """Return which positions, (n,) each, have one of m detections within 2 px, (n,) bool."""
    if len(detected_x) == 0:
        return np.zeros(len(x), bool)
    distance, _ = cKDTree(np.column_stack([detected_x, detected_y])).query(np.column_stack([x, y]))
    return np.asarray(distance <= MATCH_RADIUS_PX)
