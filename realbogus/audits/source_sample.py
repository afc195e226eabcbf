"""Samples of sources in simulated visits: detected injections, flawed ones, the scene's own transients, stars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from realbogus.audits.flawed_injections import Flaw, FlawedInjections
from realbogus.frames import Frame, Pair
from realbogus.injection.chip_visit import WorkedVisit, cross_match
from realbogus.psf.measure import measure_psf
from realbogus.psf.model import Psf
from realbogus.psf.stars import find_stars
from realbogus.records import RANDOM_INJECTION, REAL
from realbogus.stamps import cut, cut_plane, fit_size, round_position

INJECTED, SCENE, BOGUS, STAR = "injected", "scene", "bogus", "star"
_HELD_OUT = 0.25
_LEAST_STAR_SNR, _MOST_STAR_SNR = 25.0, 150.0
_OWN_PX = 4.0  # an injected or scene source within this distance is the detection's own


@dataclass(frozen=True)
class SkyCell:
    """Numbers of a chip and of the field on it."""

    detector: int
    field: int


@dataclass(frozen=True)
class SourceSample:
    """Sources of any number of visits.

    Attributes
    ----------
    kind : (n,) object
        `INJECTED`, `SCENE`, `BOGUS`, `STAR` or the name of a `Flaw`.
    field : (n,) int
        Number of the sky cell.
    stamps : (n, y, x, 3) float32, counts
        New, reference, difference.
    profile_new, profile_difference : (n, y, x) float32
        PSF of unit flux at the stamp's position, of the new frame and of the difference.
    alone : (n,) bool
        Whether the stamp contains no other injection or transient.
    scalars : mapping of str to (n,) float64
        The stamp's position x_px, y_px; from the ledger snr, galaxy_separation_re, finite_fraction, saturated; from the
        visit detector, seeing_px, difference_fwhm_px, rms_counts (sky noise of the new frame), gain_e_per_count,
        quantum_counts, saturation_counts, scale; and identity, the largest deviation of ``new - K * reference -
        background`` from the difference in the stamp, in units of the sky's noise.
    """

    kind: np.ndarray
    field: np.ndarray
    stamps: np.ndarray
    profile_new: np.ndarray
    profile_difference: np.ndarray
    alone: np.ndarray
    scalars: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: np.ndarray) -> "SourceSample":
        """Return the sources at rows, by number (m,) or flag (n,)."""
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return SourceSample(**arrays, scalars={name: column[rows] for name, column in self.scalars.items()})


_ARRAYS = [item.name for item in fields(SourceSample) if item.name != "scalars"]
_OF_LEDGER = ("snr", "galaxy_separation_re", "finite_fraction", "saturated")


def join_samples(samples: Sequence[SourceSample]) -> SourceSample:
    """Concatenate samples, at least one."""
    arrays = {name: np.concatenate([getattr(sample, name) for sample in samples]) for name in _ARRAYS}
    columns = {name: np.concatenate([sample.scalars[name] for sample in samples]) for name in samples[0].scalars}
    return SourceSample(**arrays, scalars=columns)


def gather_detections(
    worked: WorkedVisit, scene_xy: np.ndarray, cell: SkyCell, flawed: Sequence[FlawedInjections] = ()
) -> SourceSample:
    """Return the stored detections of a visit.

    Parameters
    ----------
    worked : WorkedVisit
    scene_xy : (n, 2)
        Positions of the scene's transients in the new frame, pixels.
    cell : SkyCell
    flawed : sequence of FlawedInjections
        Injections in the frame that `worked` does not list.
    """
    positions = {SCENE: scene_xy, **{injections.flaw.value: injections.positions for injections in flawed}}
    kind, x, y = _classify_detections(worked, positions)
    is_stored = np.array([reason is None for reason in worked.table["reason"].to_pylist()])[worked.rows]
    kind, x, y = kind[is_stored], x[is_stored], y[is_stored]
    pair, size = worked.difference.pair, worked.pixels.shape[1]
    stamps = cut((pair.new.pixels, pair.reference.pixels, worked.difference.pixels), x, y, size)
    deviation = _measure_identity(worked, x, y, size)
    for injections in flawed:
        if injections.flaw is Flaw.PASTED:
            is_pasted = kind == Flaw.PASTED
            light = cut_plane(injections.image, x[is_pasted], y[is_pasted], size)
            stamps[is_pasted, ..., 0] -= np.nan_to_num(light)
            deviation[is_pasted] += np.nanmax(light, axis=(1, 2), initial=0)
    sources = np.concatenate([read_injected_positions(worked)[0], *positions.values()])
    return SourceSample(
        kind=kind,
        field=np.full(len(kind), cell.field),
        stamps=stamps,
        profile_new=_cut_profiles(worked.psf, x, y, size),
        profile_difference=_cut_profiles(worked.difference.psf, x, y, size),
        alone=are_alone(x, y, sources, size),
        scalars={
            **_read_ledger(worked, is_stored),
            **_describe_visit(worked, pair, x, y, cell.detector),
            "x_px": x,
            "y_px": y,
            "identity": deviation / float(np.nanmedian(pair.new.background_rms)),
        },
    )


def _classify_detections(
    worked: WorkedVisit, positions: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kind (n,) of each detection, and the position x and y (n,) at which its stamp is cut.

    A detection that matches one of the positions (m, 2) by kind is of that kind.
    """
    detections = worked.detections
    is_real = np.array(worked.table["label"].to_pylist(), object)[worked.rows] == REAL
    kind = np.where(is_real, INJECTED, BOGUS).astype(object)
    x, y = detections.x.copy(), detections.y.copy()
    for name, xy in positions.items():
        match = cross_match(xy[:, 0], xy[:, 1], detections.x, detections.y)
        rows = match[match >= 0]
        kind[rows] = name
        if name == Flaw.CENTRING:
            x[rows], y[rows] = xy[match >= 0].T
    return kind, x, y


def gather_stars(worked: WorkedVisit, clean: Frame, cell: SkyCell, rng: np.random.Generator) -> SourceSample:
    """Return single stars of the new frame that are not used to measure the PSF of the sample.

    Parameters
    ----------
    worked : WorkedVisit
    clean : Frame
        The new frame before injection.
    cell : SkyCell
    rng : numpy.random.Generator
        Draws the stars that are held out.

    Raises
    ------
    PsfError
        The other stars are too few to measure a PSF.
    """
    stars = find_stars(clean)
    usable = stars.star_like & stars.isolated & ~stars.saturated & (stars.snr > _LEAST_STAR_SNR)
    size, (height, width) = worked.pixels.shape[1], clean.shape
    edge = np.minimum(np.minimum(stars.x, width - 1 - stars.x), np.minimum(stars.y, height - 1 - stars.y))
    is_held_out = usable & (rng.random(len(stars)) < _HELD_OUT) & (edge > size)
    psf = measure_psf(clean, stars.take(~is_held_out))
    rows = np.flatnonzero(is_held_out & (stars.snr < _MOST_STAR_SNR))
    count, x, y = len(rows), stars.x[rows], stars.y[rows]
    pair = replace(worked.difference.pair, new=clean)
    stamps = cut((clean.pixels, pair.reference.pixels, worked.difference.pixels), x, y, size)
    return SourceSample(
        kind=np.full(count, STAR, object),
        field=np.full(count, cell.field),
        stamps=stamps,
        profile_new=_cut_profiles(psf, x, y, size),
        profile_difference=_cut_profiles(worked.difference.psf, x, y, size),
        alone=np.ones(count, bool),
        scalars={
            **{name: np.full(count, np.nan) for name in _OF_LEDGER},
            **_describe_visit(worked, pair, x, y, cell.detector),
            "snr": stars.snr[rows],
            "x_px": x,
            "y_px": y,
            "finite_fraction": np.ones(count),
            "identity": np.zeros(count),
        },
    )


def read_injected_positions(worked: WorkedVisit) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of all injections, recovered or not.

    Returns
    -------
    positions : (n, 2)
        In x and y, pixels.
    is_random : (n,) bool
        Whether the position was drawn at random, not on a galaxy.
    """
    columns = [worked.table[name].to_numpy(zero_copy_only=False) for name in ("injected_x_px", "injected_y_px")]
    positions = np.column_stack(columns).astype(float)
    is_injected = np.isfinite(positions[:, 0])
    is_random = np.array(worked.table["kind"].to_pylist(), object) == RANDOM_INJECTION
    return positions[is_injected], is_random[is_injected]


def are_alone(x: np.ndarray, y: np.ndarray, sources: np.ndarray, size_px: int) -> np.ndarray:
    """Return whether stamps contain no source but their own, (n,) bool.

    A stamp's own source is within 4 pixels of its position; two of them are not alone either.

    Parameters
    ----------
    x, y : (n,)
        Positions of the stamps, pixels.
    sources : (m, 2)
        Positions of all injections and transients in x and y, pixels.
    size_px : int
        Width of the stamps.
    """
    dx, dy = np.abs(sources[:, 0] - x[:, None]), np.abs(sources[:, 1] - y[:, None])
    distance = np.hypot(dx, dy)
    has_other = ((np.maximum(dx, dy) < size_px / 2 + 1) & (distance > _OWN_PX)).any(axis=1)
    has_two = (distance <= _OWN_PX).sum(axis=1) > 1
    return np.asarray(~(has_other | has_two))


def _cut_profiles(psf: Psf, x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Return the PSF at positions x and y (n,), cropped or padded to (n, size, size) float32."""
    if len(x) == 0:
        return np.zeros((0, size, size), np.float32)
    return np.nan_to_num(fit_size(psf.at(x, y)[..., None], size)[..., 0])


def _measure_identity(worked: WorkedVisit, x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Return the largest deviation of each stamp's difference from the sum of its parts, (n,) counts."""
    difference = worked.difference
    error = difference.matched_new - difference.matched_reference - difference.background - difference.pixels
    stamps = cut((error,) * 3, x, y, size)[..., 0]
    return np.nanmax(np.abs(stamps), axis=(1, 2), initial=0)


def _read_ledger(worked: WorkedVisit, is_stored: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns of the stored detections, (n,) float64 by name; the flags are of all detections."""
    rows = worked.rows[is_stored]
    return {name: worked.table[name].to_numpy(zero_copy_only=False)[rows].astype(float) for name in _OF_LEDGER}


def _describe_visit(
    worked: WorkedVisit, pair: Pair, x: np.ndarray, y: np.ndarray, detector: int
) -> dict[str, np.ndarray]:
    """Return properties of the visit, and of its sky at positions x and y (n,), as (n,) float64 by name."""
    height, width = pair.new.shape
    row, column = round_position(y).clip(0, height - 1), round_position(x).clip(0, width - 1)
    constants = {
        "detector": detector,
        "seeing_px": worked.psf.fwhm_px,
        "difference_fwhm_px": worked.difference.fwhm_px,
        "gain_e_per_count": pair.new.gain_e_per_count,
        "quantum_counts": pair.new.quantum_counts,
        "saturation_counts": pair.new.saturation_counts,
        "scale": worked.difference.scale,
    }
    return {
        **{name: np.full(len(x), float(value)) for name, value in constants.items()},
        "rms_counts": pair.new.background_rms[row, column].astype(float),
    }
