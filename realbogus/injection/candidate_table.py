"""The table of a chip-visit's candidates: one row per detection, and one per injection that was not detected."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from realbogus.frames import Frame
from realbogus.injection.inject import Hosts, Injections, sky_limit_counts
from realbogus.psf.measure import PsfModel
from realbogus.records import BOGUS, DETECTION, REAL
from realbogus.stamps import finite_fraction
from realbogus.subtraction.detection import Detections

NOT_DETECTED = "not_detected"
_LEAST_RADIUS_ARCSEC = 0.1

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
        pa.field("detected_before", pa.bool_()),
        pa.field("finite_fraction", pa.float64()),
        pa.field("mean", pa.float64()),
        pa.field("std", pa.float64()),
    ]
)
"""A candidate is a detection, or an injection that was not detected. ``injected_*``, ``host_*`` and ``found`` are null
except for injections; ``chance_match`` of an injection is whether its position, shifted by 20 px, has a detection, and
``detected_before`` whether its position would have one without the injections."""


@dataclass(frozen=True)
class MatchedVisit:
    """The detections and injections of a chip-visit, cross-matched, m and n of them.

    Attributes
    ----------
    detections : Detections
    injections : Injections
    matched : ndarray of int, shape (n,)
        Index of each injection's detection, -1 for none.
    detected_before : ndarray of bool, shape (n,)
        The position of the injection would have a detection without it.
    by_chance : ndarray of bool, shape (n,)
        The shifted position of the injection has a detection.
    reasons : list of str or None, m long
        Why a detection's stamps cannot be stored.
    stamps : ndarray of shape (m, stamp_px, stamp_px, 3) float32
        Of the detections.
    frame : Frame
        The new frame, injections included.
    psf : PsfModel
        Of that frame.
    hosts : Hosts
        All catalogued galaxies.
    """

    detections: Detections
    injections: Injections
    matched: np.ndarray
    detected_before: np.ndarray
    by_chance: np.ndarray
    reasons: list[str | None]
    stamps: np.ndarray
    frame: Frame
    psf: PsfModel
    hosts: Hosts


def tabulate(visit: MatchedVisit) -> pa.Table:
    """Return the candidates as a table with the columns `CANDIDATES`; `number` is 0.

    The detections' rows come first, in their order, then those of the injections that were not detected.
    """
    detections, injections = visit.detections, visit.injections
    missed = np.flatnonzero(visit.matched < 0)
    injection = np.full(len(detections), -1)
    injection[visit.matched[visit.matched >= 0]] = np.flatnonzero(visit.matched >= 0)
    injection = np.concatenate([injection, missed])
    x = np.concatenate([detections.x, injections.x[missed]])
    y = np.concatenate([detections.y, injections.y[missed]])
    ra_deg, dec_deg = _on_sky(visit.frame, x, y)
    columns = {
        "number": np.zeros(len(x), np.int32),
        "ra_deg": ra_deg,
        "dec_deg": dec_deg,
        "x_px": x,
        "y_px": y,
        "galaxy_separation_re": _nearest_galaxy(visit.hosts, x, y, visit.frame.pixel_arcsec),
        **_identity_columns(visit, injection),
        **_detection_columns(visit, len(missed)),
        **_injection_columns(visit, injection),
    }
    arrays = [pa.array(columns[field.name], from_pandas=True).cast(field.type) for field in CANDIDATES]
    return pa.Table.from_arrays(arrays, schema=CANDIDATES)


def _identity_columns(visit: MatchedVisit, injection: np.ndarray) -> dict[str, object]:
    """Return kind, label, reason and whether an injection was detected; `injection` is its index per row, else -1."""
    count = len(visit.detections)
    is_injection = injection >= 0
    not_detected = len(injection) - count
    kinds = np.array([*visit.injections.kind.tolist(), DETECTION], object)
    return {
        "kind": kinds[injection],
        "label": [REAL if real else BOGUS for real in is_injection[:count]] + [None] * not_detected,
        "reason": [*visit.reasons, *[NOT_DETECTED] * not_detected],
        "found": [row < count if real else None for row, real in enumerate(is_injection.tolist())],
    }


def _detection_columns(visit: MatchedVisit, not_detected: int) -> dict[str, object]:
    """Return the measurements of the detections, missing in the rows of the undetected injections."""
    detections, stamps = visit.detections, visit.stamps
    columns = {
        "snr": detections.snr,
        "flux_counts": detections.flux_counts,
        "mag": _magnitudes(visit.frame, detections.flux_counts),
        "fwhm_px": detections.fwhm_px,
        "axis_ratio": detections.axis_ratio,
        "edge_distance_px": detections.edge_distance_px,
        "masked_fraction": detections.masked_fraction,
        "finite_fraction": finite_fraction(stamps),
        "mean": _over_difference(np.nanmean, stamps),
        "std": _over_difference(np.nanstd, stamps),
    }
    missing = np.full(not_detected, np.nan)
    padded = {name: np.concatenate([np.asarray(values, float), missing]) for name, values in columns.items()}
    return {**padded, "saturated": [*detections.saturated.tolist(), *[None] * not_detected]}


def _injection_columns(visit: MatchedVisit, injection: np.ndarray) -> dict[str, object]:
    """Return the true properties of the injections, missing in the other rows; `injection` is their index or -1."""
    injections = visit.injections

    def spread(values: np.ndarray) -> np.ndarray:
        """Return one value per row, from shape (n,): its injection's, NaN without one."""
        return np.where(injection >= 0, np.append(values, np.nan)[injection], np.nan)

    flux = spread(injections.flux_counts)
    return {
        "injected_x_px": spread(injections.x),
        "injected_y_px": spread(injections.y),
        "injected_flux_counts": flux,
        "injected_mag": _magnitudes(visit.frame, flux),
        "injected_snr": flux / sky_limit_counts(visit.frame, visit.psf),
        "host_separation_arcsec": spread(injections.host_separation_arcsec),
        "host_separation_re": spread(injections.host_separation_re),
        "host_mag": spread(injections.host_mag),
        "psf_realisation": _or_null(spread(injections.realisation.astype(float))),
        "chance_match": _or_null(spread(visit.by_chance.astype(float))),
        "detected_before": _or_null(spread(visit.detected_before.astype(float))),
    }


def _over_difference(statistic: Callable[..., np.ndarray], stamps: np.ndarray) -> np.ndarray:
    """Return a statistic of each stamp's difference plane, (m,); NaN where the plane has no pixel."""
    has_pixels = np.isfinite(stamps[..., 2]).any(axis=(1, 2))
    values = np.full(len(stamps), np.nan)
    if has_pixels.any():
        values[has_pixels] = statistic(stamps[has_pixels, :, :, 2], axis=(1, 2))
    return values


def _or_null(values: np.ndarray) -> list[int | None]:
    return [None if np.isnan(value) else int(value) for value in values.tolist()]


def _on_sky(frame: Frame, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination in degrees, NaN without a WCS."""
    if frame.wcs is None or len(x) == 0:
        return np.full(len(x), np.nan), np.full(len(x), np.nan)
    ra_deg, dec_deg = frame.wcs.all_pix2world(x, y, 0)
    return np.asarray(ra_deg) % 360, np.asarray(dec_deg)


def _magnitudes(frame: Frame, flux_counts: np.ndarray) -> np.ndarray:
    """Return magnitudes, instrumental where the frame has no zero point; NaN for fluxes that are not positive."""
    zero_point = 0.0 if frame.zero_point_mag is None else frame.zero_point_mag
    positive = np.where(flux_counts > 0, flux_counts, np.nan)
    return np.asarray(zero_point - 2.5 * np.log10(positive))


def _nearest_galaxy(hosts: Hosts, x: np.ndarray, y: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """Return the least separation from a galaxy in units of its effective radius, NaN without galaxies."""
    if len(hosts.x) == 0 or len(x) == 0:
        return np.full(len(x), np.nan)
    separation_arcsec = np.hypot(x[:, None] - hosts.x, y[:, None] - hosts.y) * pixel_arcsec
    return np.asarray((separation_arcsec / np.maximum(hosts.radius_arcsec, _LEAST_RADIUS_ARCSEC)).min(axis=1))
