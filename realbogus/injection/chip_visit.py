"""One chip at one visit, from a pair of frames to judged candidates: inject, subtract, detect, match, cut.

A survey's label is all that the pipeline knows: what it injected and found again is real, every other detection is
taken for bogus. The true origin of a detection in a simulated scene is found by `realbogus.audits.origin_labels`.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field
from scipy.spatial import cKDTree

from realbogus.frames import Frame, Pair
from realbogus.injection.inject import Hosts, Injections, InjectionSettings, inject, plan_injections, sky_limit_counts
from realbogus.psf.measure import PsfModel, measure_psf
from realbogus.psf.stars import find_stars
from realbogus.records import BOGUS, DETECTION, MATCH_RADIUS_PX, REAL
from realbogus.stamps import cut, finite_fraction, outside_frame, stamp_reasons
from realbogus.subtraction.alignment import align
from realbogus.subtraction.detection import Detections, detect
from realbogus.subtraction.difference import Difference
from realbogus.subtraction.subtract import SubtractionSettings, subtract

CHANCE_SHIFT_PX = 20.0
NOT_DETECTED = "not_detected"

CANDIDATES = pa.schema(
    [
        pa.field("number", pa.int32()),
        pa.field("kind", pa.string()),
        pa.field("label", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("ra_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("dec_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("x_px", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("y_px", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("snr", pa.float64()),
        pa.field("flux_counts", pa.float64(), metadata={b"unit": b"count"}),
        pa.field("mag", pa.float64(), metadata={b"unit": b"mag"}),
        pa.field("fwhm_px", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("axis_ratio", pa.float64()),
        pa.field("edge_distance_px", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("masked_fraction", pa.float64()),
        pa.field("saturated", pa.bool_()),
        pa.field("galaxy_separation_re", pa.float64()),
        pa.field("injected_x_px", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("injected_y_px", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("injected_flux_counts", pa.float64(), metadata={b"unit": b"count"}),
        pa.field("injected_mag", pa.float64(), metadata={b"unit": b"mag"}),
        pa.field("injected_snr", pa.float64()),
        pa.field("host_separation_arcsec", pa.float64(), metadata={b"unit": b"arcsec"}),
        pa.field("host_separation_re", pa.float64()),
        pa.field("host_mag", pa.float64(), metadata={b"unit": b"mag"}),
        pa.field("psf_realisation", pa.int32()),
        pa.field("found", pa.bool_()),
        pa.field("chance_match", pa.bool_()),
        pa.field("finite_fraction", pa.float64()),
        pa.field("mean", pa.float64()),
        pa.field("std", pa.float64()),
    ]
)
"""A candidate: a detection, or an injection that was not found. ``injected_*``, ``host_*`` and ``found`` are null but
for injections; ``chance_match`` tells of an injection whether its place, moved by 20 px, has a detection too."""


class VisitSettings(BaseModel):
    """How a chip-visit is worked on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    injection: InjectionSettings = InjectionSettings()
    subtraction: SubtractionSettings = SubtractionSettings()
    threshold_sigma: float = Field(default=5.0, gt=0)
    """Least S/N of a detection; only what is brighter in the new frame counts."""
    stamp_px: int = Field(default=29, ge=11, le=127)
    """Side of a stamp, pixels."""


@dataclass(frozen=True)
class WorkedVisit:
    """What came of a chip-visit.

    Attributes
    ----------
    table : Table of `CANDIDATES`
        In order of y, then x: the order says nothing of what a candidate is.
    pixels : ndarray, (n, stamp_px, stamp_px, 3) float32, counts
        New, aligned reference, difference, of the rows without a reason.
    difference : Difference
    detections : Detections
        Positive ones; `rows` says in which row of the table each stands.
    rows : ndarray of int
    injected : ndarray, (y, x) float32, counts
        What the injections added to the new frame.
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
    precomputed: np.ndarray | None = None,
    psf_new: PsfModel | None = None,
    psf_reference: PsfModel | None = None,
) -> WorkedVisit:
    """Work on one chip-visit.

    Parameters
    ----------
    pair : Pair
    hosts : Hosts
        Catalogued galaxies in the new frame's pixels.
    settings : VisitSettings
    rng : Generator
        Draws the injections.
    precomputed : ndarray, (y, x), optional
        The difference, for the engine of that name.
    psf_new, psf_reference : PsfModel, optional
        Measured where they are not given.

    Raises
    ------
    AlignmentError, PsfError, MatchingError, SubtractionError
        The pair cannot be worked on; the message says why.
    """
    pair = align(pair)
    stars = find_stars(pair.new)
    psf = measure_psf(pair.new, stars) if psf_new is None else psf_new
    injections = plan_injections(pair.new, psf, hosts, settings.injection, rng)
    new, injected = inject(pair.new, psf, injections, rng)
    if precomputed is not None:
        precomputed = precomputed + injected
    difference = subtract(replace(pair, new=new), settings.subtraction, None, psf, psf_reference, precomputed)
    detections = detect(difference, settings.threshold_sigma)
    detections = detections.take(detections.positive)
    found = match(injections.x, injections.y, detections.x, detections.y)
    by_chance = _reached(injections.x + CHANCE_SHIFT_PX, injections.y, detections.x, detections.y)
    planes = (new.pixels, pair.reference.pixels, difference.pixels)
    stamps = cut(planes, detections.x, detections.y, settings.stamp_px)
    reasons = stamp_reasons(stamps, outside_frame(new.shape, detections.x, detections.y, settings.stamp_px))
    table = _tabulate(detections, injections, found, by_chance, reasons, stamps, new, psf, hosts)
    order = np.lexsort((table["x_px"].to_numpy(), table["y_px"].to_numpy()))
    # Dealt anew, as a number that grows with y would tell how many detections a visit has.
    order = rng.permutation(order)
    rows = np.argsort(order)[: len(detections)]
    table = table.take(pa.array(order)).set_column(0, CANDIDATES.field(0), pa.array(np.arange(len(order)), pa.int32()))
    kept = order[[reason is None for reason in table["reason"].to_pylist()]]
    return WorkedVisit(table, stamps[kept], difference, detections, rows, injected, psf)


def match(x: np.ndarray, y: np.ndarray, found_x: np.ndarray, found_y: np.ndarray) -> np.ndarray:
    """Match injections and detections one to one, nearest first, within 2 px.

    Returns
    -------
    ndarray of int, as long as `x`
        Number of the detection of each injection, -1 for none.
    """
    matched = np.full(len(x), -1)
    if len(x) == 0 or len(found_x) == 0:
        return matched
    near = cKDTree(np.column_stack([x, y])).sparse_distance_matrix(
        cKDTree(np.column_stack([found_x, found_y])), MATCH_RADIUS_PX, output_type="ndarray"
    )
    taken: set[int] = set()
    for pair in near[np.argsort(near["v"], kind="stable")]:
        if matched[pair["i"]] < 0 and int(pair["j"]) not in taken:
            matched[pair["i"]] = pair["j"]
            taken.add(int(pair["j"]))
    return matched


def _reached(x: np.ndarray, y: np.ndarray, found_x: np.ndarray, found_y: np.ndarray) -> np.ndarray:
    """Tell of each place whether a detection lies within 2 px."""
    if len(found_x) == 0:
        return np.zeros(len(x), bool)
    distance, _ = cKDTree(np.column_stack([found_x, found_y])).query(np.column_stack([x, y]))
    return np.asarray(distance <= MATCH_RADIUS_PX)


def _tabulate(
    detections: Detections,
    injections: Injections,
    found: np.ndarray,
    by_chance: np.ndarray,
    reasons: list[str | None],
    stamps: np.ndarray,
    frame: Frame,
    psf: PsfModel,
    hosts: Hosts,
) -> pa.Table:
    """Return the detections' rows, then those of the injections that were not found."""
    count, missed = len(detections), np.flatnonzero(found < 0)
    injection = np.full(count, -1)
    injection[found[found >= 0]] = np.flatnonzero(found >= 0)
    injection = np.concatenate([injection, missed])
    lost = len(missed)
    x = np.concatenate([detections.x, injections.x[missed]])
    y = np.concatenate([detections.y, injections.y[missed]])
    is_injection = injection >= 0

    def detected(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.asarray(values, float), np.full(lost, np.nan)])

    def injected(values: np.ndarray) -> np.ndarray:
        return np.where(is_injection, np.append(values, np.nan)[injection], np.nan)

    flux = injected(injections.flux_counts)
    kinds = np.array([*injections.kind.tolist(), DETECTION], object)
    ra_deg, dec_deg = _on_sky(frame, x, y)
    columns = {
        "number": np.zeros(count + lost, np.int32),
        "kind": kinds[injection],
        "label": [REAL if real else BOGUS for real in is_injection[:count]] + [None] * lost,
        "reason": [*reasons, *[NOT_DETECTED] * lost],
        "ra_deg": ra_deg,
        "dec_deg": dec_deg,
        "x_px": x,
        "y_px": y,
        "snr": detected(detections.snr),
        "flux_counts": detected(detections.flux_counts),
        "mag": detected(_magnitudes(frame, detections.flux_counts)),
        "fwhm_px": detected(detections.fwhm_px),
        "axis_ratio": detected(detections.axis_ratio),
        "edge_distance_px": detected(detections.edge_distance_px),
        "masked_fraction": detected(detections.masked_fraction),
        "saturated": [*detections.saturated.tolist(), *[None] * lost],
        "galaxy_separation_re": _nearest_galaxy(hosts, x, y, frame.pixel_arcsec),
        "injected_x_px": injected(injections.x),
        "injected_y_px": injected(injections.y),
        "injected_flux_counts": flux,
        "injected_mag": _magnitudes(frame, flux),
        "injected_snr": flux / sky_limit_counts(frame, psf),
        "host_separation_arcsec": injected(injections.host_separation_arcsec),
        "host_separation_re": injected(injections.host_separation_re),
        "host_mag": injected(injections.host_mag),
        "psf_realisation": _or_null(injected(injections.realisation.astype(float))),
        "found": [row < count if real else None for row, real in enumerate(is_injection.tolist())],
        "chance_match": _or_null(injected(by_chance.astype(float))),
        "finite_fraction": detected(finite_fraction(stamps)),
        "mean": detected(_over_difference(np.nanmean, stamps)),
        "std": detected(_over_difference(np.nanstd, stamps)),
    }
    arrays = [pa.array(columns[field.name], from_pandas=True).cast(field.type) for field in CANDIDATES]
    return pa.Table.from_arrays(arrays, schema=CANDIDATES)


def _over_difference(statistic: object, stamps: np.ndarray) -> np.ndarray:
    """Return a statistic of each stamp's difference plane, NaN where it has no pixel."""
    some = np.isfinite(stamps[..., 2]).any(axis=(1, 2))
    values = np.full(len(stamps), np.nan)
    if some.any():
        values[some] = statistic(stamps[some, :, :, 2], axis=(1, 2))  # type: ignore[operator]
    return values


def _or_null(values: np.ndarray) -> list[int | None]:
    return [None if np.isnan(value) else int(value) for value in values.tolist()]


def _on_sky(frame: Frame, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in degrees, NaN without a WCS."""
    if frame.wcs is None or len(x) == 0:
        return np.full(len(x), np.nan), np.full(len(x), np.nan)
    ra_deg, dec_deg = frame.wcs.all_pix2world(x, y, 0)
    return np.asarray(ra_deg) % 360, np.asarray(dec_deg)


def _magnitudes(frame: Frame, flux_counts: np.ndarray) -> np.ndarray:
    """Return magnitudes; instrumental ones where the frame has no zero point, NaN for what is not positive."""
    zero_point = 0.0 if frame.zero_point_mag is None else frame.zero_point_mag
    positive = np.where(flux_counts > 0, flux_counts, np.nan)
    return np.asarray(zero_point - 2.5 * np.log10(positive))


def _nearest_galaxy(hosts: Hosts, x: np.ndarray, y: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """Return the separation from the galaxy that is nearest in its own effective radii; NaN without galaxies."""
    if len(hosts.x) == 0 or len(x) == 0:
        return np.full(len(x), np.nan)
    away = np.hypot(x[:, None] - hosts.x, y[:, None] - hosts.y) * pixel_arcsec
    return np.asarray((away / np.maximum(hosts.radius_arcsec, 0.1)).min(axis=1))
