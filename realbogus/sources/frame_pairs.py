"""Pairs of a new and a reference frame, read from the files that `pair_tables` lists."""

import numpy as np
from astropy.wcs import WCS, NoConvergence

from realbogus.frames import Frame, Pair
from realbogus.library_faults import name_faults
from realbogus.psf.measure import PsfError, PsfModel, constant_psf
from realbogus.readings import merge_readings
from realbogus.records import SourceError, file_sha256, night_of
from realbogus.sources.fits_images import SkyMappingError, read_image
from realbogus.sources.frame_files import FrameFile, read_frame_file
from realbogus.sources.frame_keywords import FrameKeywords
from realbogus.sources.padding import find_padding
from realbogus.sources.pair_tables import FRAMES, TRUTH_WORDS, PairFiles

ALIGNED_WITHIN_PX = 0.25
"""Frames of one shape whose WCS agree to this distance share their pixel grid; otherwise the reference is resampled."""
LEAST_OVERLAP = 0.1
_GRID_STEPS = 21


class NoOverlapError(SourceError):
    """The WCS of the frames of a pair point to different places."""


def read_pair(pair: PairFiles, keywords: FrameKeywords | None = None) -> Pair:
    """Read the frames of a pair.

    The night defaults to that of the new frame's epoch, ``unknown`` without one, the sky cell to the start of the
    reference file's sha256.

    Raises
    ------
    SourceError
        A frame cannot be read (see `frame_files.read_frame_file`), or the shapes differ and a WCS is missing.
    NoOverlapError
        The two share less than `LEAST_OVERLAP` of the new frame's sky.
    """
    keywords = keywords or FrameKeywords()
    new, reference = (_read_frame(pair, frame, keywords) for frame in FRAMES)
    aligned = _are_aligned(pair, new.frame, reference.frame)
    epoch = new.epoch_mjd
    night = "unknown" if epoch is None else night_of(epoch, keywords.site_longitude_deg)
    return Pair(
        new=new.frame,
        reference=reference.frame,
        aligned=aligned,
        detector=new.detector or "0",
        night=pair.columns.get("night", night),
        visit=pair.visit,
        sky_cell=pair.columns.get("sky_cell") or f"tile-{file_sha256(pair.files['reference'])[:12]}",
        epoch_mjd=epoch,
        reading=merge_readings([new.reading, reference.reading]),
    )


def read_difference(pair: PairFiles, shape: tuple[int, int]) -> np.ndarray:
    """Read the survey's own difference, shape (y, x) float32, NaN where it is padding or not finite.

    Raises
    ------
    SourceError
        The pair has none, or its shape is not that of the new frame.
    """
    if "difference" not in pair.files:
        raise SourceError(f"{pair.files['new']}: engine=precomputed needs a column 'difference' in the table of pairs")
    pixels = read_image(pair.files["difference"]).pixels
    if pixels.shape != shape:
        raise SourceError(f"{pair.files['difference']} is {pixels.shape}, its new frame {shape}")
    return np.where(np.isfinite(pixels) & ~find_padding(pixels), pixels, np.float32(np.nan)).astype(np.float32)


def read_psf(pair: PairFiles, frame: str, shape: tuple[int, int]) -> PsfModel | None:
    """Read the survey's point-spread function of the ``new`` or ``reference`` frame, constant over the chip; or None.

    Raises
    ------
    SourceError
        The image is not square with an odd width and a positive sum.
    """
    path = pair.files.get(f"{frame}_psf")
    if path is None:
        return None
    try:
        return constant_psf(read_image(path).pixels, shape)
    except PsfError as error:
        raise SourceError(f"{path}: {error}") from error


def _read_frame(pair: PairFiles, frame: str, keywords: FrameKeywords) -> FrameFile:
    hdu: str | int | None = pair.columns.get(f"{frame}_hdu")
    return read_frame_file(
        pair.files[frame],
        keywords,
        pair.values(frame),
        hdu=int(hdu) if isinstance(hdu, str) and hdu.isdecimal() else hdu,
        mask=pair.files.get(f"{frame}_mask"),
        variance=pair.files.get(f"{frame}_variance"),
    )


def _are_aligned(pair: PairFiles, new: Frame, reference: Frame) -> bool:
    """Return whether two frames share their pixel grid: by the table, else by shape and WCS."""
    names = f"{pair.files['new']} {new.shape} and {pair.files['reference']} {reference.shape}"
    declared = TRUTH_WORDS.get(pair.columns.get("aligned", "").lower())
    has_same_shape = new.shape == reference.shape
    if declared:
        if not has_same_shape:
            raise SourceError(f"{names} are declared aligned, their shapes differ")
        return True
    if new.wcs is None or reference.wcs is None:
        if not has_same_shape or declared is False:
            raise SourceError(f"{names} cannot be aligned: not both have a WCS")
        return True
    distance, overlap = _compare_grids(new.wcs, new.shape, reference.wcs, reference.shape)
    if overlap < LEAST_OVERLAP:
        raise NoOverlapError(f"{names} share {overlap:.0%} of the new frame's sky by their WCS, the least is 10 %")
    return declared is not False and has_same_shape and distance <= ALIGNED_WITHIN_PX


def _compare_grids(
    new: WCS, new_shape: tuple[int, int], reference: WCS, reference_shape: tuple[int, int]
) -> tuple[float, float]:
    """Compare two frames on a grid of points.

    Returns
    -------
    distance : float
        The largest between pixels of the same indices, in pixels.
    overlap : float
        The fraction of the new frame that the reference covers.
    """
    y, x = np.meshgrid(*(np.linspace(0, length - 1, _GRID_STEPS) for length in new_shape), indexing="ij")
    with name_faults(SkyMappingError, "the two frames cannot be compared by their WCS"):
        ra_deg, dec_deg = new.all_pix2world(x.ravel(), y.ravel(), 0)
        try:
            reference_x, reference_y = reference.all_world2pix(ra_deg, dec_deg, 0)
        except NoConvergence:  # a distortion's inverse fails far off its frame
            reference_x, reference_y = reference.wcs_world2pix(ra_deg, dec_deg, 0)
    distance = np.hypot(reference_x - x.ravel(), reference_y - y.ravel())
    height, width = reference_shape
    inside = (reference_x >= -0.5) & (reference_x < width - 0.5) & (reference_y >= -0.5) & (reference_y < height - 0.5)
    return float(np.nan_to_num(distance, nan=np.inf).max()), float(inside.mean())
