"""What the chain made of sources planted in simulated visits: injections, spoiled ones, the scene's own transients."""

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
_OWN_PX = 4.0  # a planted source so near is the detection's own


@dataclass(frozen=True)
class SourceSample:
    """Stored detections of any number of visits; arrays of one length.

    Attributes
    ----------
    kind : ndarray of str
        `INJECTED`, `SCENE`, `BOGUS`, `STAR` or the name of a `Flaw`.
    field : ndarray of int
        Number of the sky cell.
    stamps : ndarray, (n, side, side, 3) float32, counts
    profile_new, profile_difference : ndarray, (n, side, side) float32
        PSF of unit flux at the position that the stamp claims, of the new frame and of the difference.
    alone : ndarray of bool
        No other planted source lies in the stamp.
    scalars : mapping of str to ndarray of float
        The claimed position x_px, y_px; of the ledger snr, galaxy_separation_re, finite_fraction, saturated; of the
        visit detector, seeing_px, difference_fwhm_px, rms_counts (of the new frame's sky), gain_e_per_count,
        quantum_counts, saturation_counts, scale; and identity: the largest error of ``new - K * reference - background
        = difference`` in the stamp, in units of the sky's noise.
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
        """Return some of the rows, by index or flag."""
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return SourceSample(**arrays, scalars={name: column[rows] for name, column in self.scalars.items()})


_ARRAYS = [item.name for item in fields(SourceSample) if item.name != "scalars"]
_OF_LEDGER = ("snr", "galaxy_separation_re", "finite_fraction", "saturated")


def join_samples(parts: Sequence[SourceSample]) -> SourceSample:
    """Return the rows of all parts, one at least."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    columns = {name: np.concatenate([part.scalars[name] for part in parts]) for name in parts[0].scalars}
    return SourceSample(**arrays, scalars=columns)


def gather_detections(
    worked: WorkedVisit, scene_xy: np.ndarray, detector: int, field: int, spoiled: Sequence[FlawedInjections] = ()
) -> SourceSample:
    """Gather the stored detections of a visit.

    Parameters
    ----------
    worked : WorkedVisit
    scene_xy : ndarray, (n, 2), pixels
        Where the light of the scene's transients falls in the new frame.
    detector, field : int
        Numbers of the chip and of the sky cell.
    spoiled : sequence of FlawedInjections
        What was laid into the frame beforehand.
    """
    where, pair = worked.detections, worked.difference.pair
    places = {SCENE: scene_xy, **{one.spoil.value: one.places for one in spoiled}}
    kind = np.where(np.array(worked.table["label"].to_pylist(), object)[worked.rows] == REAL, INJECTED, BOGUS)
    kind = kind.astype(object)
    x, y = where.x.copy(), where.y.copy()
    for name, place in places.items():
        matched = cross_match(place[:, 0], place[:, 1], where.x, where.y)
        reached = matched[matched >= 0]
        kind[reached] = name
        if name == Flaw.CENTRING:
            x[reached], y[reached] = place[matched >= 0].T
    stored = np.array([reason is None for reason in worked.table["reason"].to_pylist()])[worked.rows]
    kind, x, y = kind[stored], x[stored], y[stored]
    side = worked.pixels.shape[1]
    stamps = cut((pair.new.pixels, pair.reference.pixels, worked.difference.pixels), x, y, side)
    identity = _identity(worked, x, y, side)
    for one in spoiled:
        if one.spoil is Flaw.PASTED:
            mine = kind == Flaw.PASTED
            light = cut_plane(one.image, x[mine], y[mine], side)
            stamps[mine, ..., 0] -= np.nan_to_num(light)
            identity[mine] += np.nanmax(light, axis=(1, 2), initial=0)
    planted = np.concatenate([read_injected_positions(worked)[0], *places.values()])
    return SourceSample(
        kind=kind,
        field=np.full(len(kind), field),
        stamps=stamps,
        profile_new=_profile(worked.psf, x, y, side),
        profile_difference=_profile(worked.difference.psf, x, y, side),
        alone=~_accompanied(x, y, planted, side),
        scalars={
            **_read_ledger(worked, stored),
            **_describe_visit(worked, pair, x, y, detector),
            "x_px": x,
            "y_px": y,
            "identity": identity / float(np.nanmedian(pair.new.background_rms)),
        },
    )


def gather_stars(
    worked: WorkedVisit, clean: Frame, detector: int, field: int, rng: np.random.Generator
) -> SourceSample:
    """Gather single stars of the new frame, with the PSF measured on the others.

    Parameters
    ----------
    worked : WorkedVisit
    clean : Frame
        The new frame before anything was injected.
    detector, field : int
    rng : Generator
        Draws which stars are held out.

    Raises
    ------
    PsfError
        The others are too few to measure a PSF.
    """
    stars = find_stars(clean)
    usable = stars.star_like & stars.isolated & ~stars.saturated & (stars.snr > _LEAST_STAR_SNR)
    side, (height, width) = worked.pixels.shape[1], clean.shape
    edge = np.minimum(np.minimum(stars.x, width - 1 - stars.x), np.minimum(stars.y, height - 1 - stars.y))
    held = usable & (rng.random(len(stars)) < _HELD_OUT) & (edge > side)
    psf = measure_psf(clean, stars.take(~held))
    kept = np.flatnonzero(held & (stars.snr < _MOST_STAR_SNR))
    x, y = stars.x[kept], stars.y[kept]
    pair = replace(worked.difference.pair, new=clean)
    stamps = cut((clean.pixels, pair.reference.pixels, worked.difference.pixels), x, y, side)
    nothing = {name: np.full(len(kept), np.nan) for name in _OF_LEDGER}
    return SourceSample(
        kind=np.full(len(kept), STAR, object),
        field=np.full(len(kept), field),
        stamps=stamps,
        profile_new=_profile(psf, x, y, side),
        profile_difference=_profile(worked.difference.psf, x, y, side),
        alone=np.ones(len(kept), bool),
        scalars={
            **nothing,
            **_describe_visit(worked, pair, x, y, detector),
            "snr": stars.snr[kept],
            "x_px": x,
            "y_px": y,
            "finite_fraction": np.ones(len(kept)),
            "identity": np.zeros(len(kept)),
        },
    )


def read_injected_positions(worked: WorkedVisit) -> tuple[np.ndarray, np.ndarray]:
    """Return where injections were laid, found or not, (n, 2) pixels, and which lie at random, (n,) bool."""
    columns = [worked.table[name].to_numpy(zero_copy_only=False) for name in ("injected_x_px", "injected_y_px")]
    places = np.column_stack(columns).astype(float)
    laid = np.isfinite(places[:, 0])
    return places[laid], (np.array(worked.table["kind"].to_pylist(), object) == RANDOM_INJECTION)[laid]


def _accompanied(x: np.ndarray, y: np.ndarray, planted: np.ndarray, side: int) -> np.ndarray:
    """Tell of each stamp whether it holds a planted source that is not its own."""
    across, up = np.abs(planted[:, 0] - x[:, None]), np.abs(planted[:, 1] - y[:, None])
    inside = (np.maximum(across, up) < side / 2 + 1) & (np.hypot(across, up) > _OWN_PX)
    doubled = (np.hypot(across, up) <= _OWN_PX).sum(axis=1) > 1
    return np.asarray(inside.any(axis=1) | doubled)


def _profile(psf: Psf, x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    if len(x) == 0:
        return np.zeros((0, side, side), np.float32)
    return np.nan_to_num(fit_size(psf.at(x, y)[..., None], side)[..., 0])


def _identity(worked: WorkedVisit, x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Return the largest error of each stamp's difference as the sum of its parts, counts."""
    whole = worked.difference
    error = whole.matched_new - whole.matched_reference - whole.background - whole.pixels
    stamps = cut((error,) * 3, x, y, side)[..., 0]
    return np.nanmax(np.abs(stamps), axis=(1, 2), initial=0)


def _read_ledger(worked: WorkedVisit, stored: np.ndarray) -> dict[str, np.ndarray]:
    rows = worked.rows[stored]
    return {name: worked.table[name].to_numpy(zero_copy_only=False)[rows].astype(float) for name in _OF_LEDGER}


def _describe_visit(
    worked: WorkedVisit, pair: Pair, x: np.ndarray, y: np.ndarray, detector: int
) -> dict[str, np.ndarray]:
    """Return what a frame gives at positions, and what it has in common, (n,) each."""
    height, width = pair.new.shape
    row, column = round_position(y).clip(0, height - 1), round_position(x).clip(0, width - 1)
    common = {
        "detector": detector,
        "seeing_px": worked.psf.fwhm_px,
        "difference_fwhm_px": worked.difference.fwhm_px,
        "gain_e_per_count": pair.new.gain_e_per_count,
        "quantum_counts": pair.new.quantum_counts,
        "saturation_counts": pair.new.saturation_counts,
        "scale": worked.difference.scale,
    }
    return {
        **{name: np.full(len(x), float(value)) for name, value in common.items()},
        "rms_counts": pair.new.background_rms[row, column].astype(float),
    }
