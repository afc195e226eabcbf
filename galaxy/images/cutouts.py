"""Cutout images: the patch of sky to request, checks of the answer, and its conversion to a sample.

Angles are in degrees for positions and in arcsec for sizes. Images are (height, width, 3) uint8, north
up, east left, channels R, G, B made from the bands i, r, g.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from galaxy.images.file_formats import ImageFaultError
from galaxy.images.image_files import blank_fraction, read_image_file

Field = Literal["petrosian", "redshift", "fixed"]

PETROSIAN_WIDTH_R90 = 8.48  # Galaxy Zoo 2's own pictures: 424 px of 0.02 R90 (Willett et al. 2013)
KPC_WIDTH = 70.0  # about 8.48 R90 of a galaxy with R90 = 8 kpc
SCALE_BOUNDS_ARCSEC_PER_PX = (0.03, 1.5)  # a wrong catalogue radius must not ask for a degree of sky
ARCSEC_PER_RADIAN = 206264.806

ANSWER_BYTES_PER_PX, ANSWER_EXTRA_BYTES = 6, 1 << 18
"""A JPEG of noise in every channel takes 4.1 bytes a pixel at quality 100; the rest is for headers and profiles."""

SERVICES = {"sdss": "https://skyserver.sdss.org", "legacy": "https://www.legacysurvey.org"}


@dataclass(frozen=True)
class SkyPatch:
    """A square patch of sky.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Position of the centre.
    scale_arcsec_per_px : float
    request_px : int
        Width in pixels.
    clipped : bool
        Whether the field rule's scale was outside `SCALE_BOUNDS_ARCSEC_PER_PX`.
    """

    ra_deg: float
    dec_deg: float
    scale_arcsec_per_px: float
    request_px: int
    clipped: bool

    @property
    def width_arcsec(self) -> float:
        """Width on the sky."""
        return self.scale_arcsec_per_px * self.request_px


def frame_scales(
    field: Field,
    request_px: int,
    petro_r90_arcsec: np.ndarray,
    redshift: np.ndarray,
    scale_arcsec_per_px: float | None = None,
) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Return the pixel scale of every galaxy's frame under a field rule.

    ``petrosian`` makes the frame 8.48 Petrosian R90 wide, ``redshift`` makes it `KPC_WIDTH` wide at the
    galaxy's distance (flat LCDM, H0 = 70 km/s/Mpc, matter 0.3), ``fixed`` gives all the same scale.

    Parameters
    ----------
    petro_r90_arcsec, redshift : ndarray, (n,)
        NaN where unknown.
    scale_arcsec_per_px : float
        For ``fixed`` only.

    Returns
    -------
    scale_arcsec_per_px : ndarray, (n,)
        Within the bounds; NaN where there is a reason.
    clipped : ndarray of bool, (n,)
    reasons : list of str or None, n long
        Why a galaxy has no frame: the rule needs what the catalogue lacks.
    """
    if field == "fixed":
        if scale_arcsec_per_px is None or not 0.015 <= scale_arcsec_per_px <= 60:
            raise ValueError(f"field=fixed needs scale_arcsec_per_px from 0.015 to 60, got {scale_arcsec_per_px}")
        count = len(redshift)
        return np.full(count, float(scale_arcsec_per_px)), np.zeros(count, bool), [None] * count
    if field == "petrosian":
        needed, name = np.asarray(petro_r90_arcsec, float), "petro_r90_arcsec"
        width_arcsec = PETROSIAN_WIDTH_R90 * needed
    else:
        needed, name = np.asarray(redshift, float), "redshift"
        # Imported where it is used: it takes a second, and few builds frame by redshift.
        from astropy.cosmology import FlatLambdaCDM

        cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
        distance_kpc = cosmology.angular_diameter_distance(np.where(needed > 0, needed, 1.0)).to_value("kpc")
        width_arcsec = KPC_WIDTH / distance_kpc * ARCSEC_PER_RADIAN
    reasons = [
        f"{name}_missing" if np.isnan(value) else None if value > 0 else f"{name}_not_positive" for value in needed
    ]
    usable = np.array([reason is None for reason in reasons], bool)
    unclipped = np.where(usable, width_arcsec / request_px, np.nan)
    scale = np.clip(unclipped, *SCALE_BOUNDS_ARCSEC_PER_PX)
    return scale, usable & (scale != unclipped), reasons


def service_request(source: str, service_url: str, release: str, frame: SkyPatch) -> tuple[str, dict[str, str]]:
    """Return the address and the parameters that ask a cutout service for a frame.

    ``sdss`` (and ``simulated``, which speaks its protocol) is SkyServer's ImgCutout, DR12 and later;
    ``legacy`` is the Legacy Surveys viewer, whose release is the layer, such as ``ls-dr10``.
    """
    centre = {"ra": f"{frame.ra_deg:.7f}", "dec": f"{frame.dec_deg:.7f}"}
    scale, side = f"{frame.scale_arcsec_per_px:.6f}", str(frame.request_px)
    if source == "legacy":
        parameters = centre | {"layer": release, "pixscale": scale, "size": side}
        return f"{service_url}/viewer/cutout.jpg", parameters
    path = f"{service_url}/{release}/SkyServerWS/ImgCutout/getjpeg"
    return path, centre | {"scale": scale, "width": side, "height": side}


def request_key(service: str, address: str, parameters: dict[str, str]) -> str:
    """Return the sha256 over service, address and parameters, which identifies a request."""
    text = json.dumps([service, address, sorted(parameters.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def most_answer_bytes(request_px: int) -> int:
    """Return the number of bytes that no honest JPEG of `request_px` times `request_px` pixels exceeds."""
    return ANSWER_BYTES_PER_PX * request_px**2 + ANSWER_EXTRA_BYTES


def check_markers(media_type: str | None, body: bytes) -> None:
    """Check the media type (None where there is none) and JPEG's first and last bytes.

    Raises
    ------
    ImageFaultError
        ``wrong_type`` or ``truncated``.
    """
    if media_type is not None and media_type != "image/jpeg":
        raise ImageFaultError("wrong_type")
    if not body.startswith(b"\xff\xd8"):
        raise ImageFaultError("wrong_type")
    if b"\xff\xd9" not in body[-64:]:
        raise ImageFaultError("truncated")


def decode(body: bytes, expected_px: int | None = None) -> np.ndarray:
    """Decode a service's image in full: `galaxy.images.image_files.read_image_file`, without what was converted.

    Parameters
    ----------
    body : bytes
    expected_px : int, optional
        The requested width.

    Returns
    -------
    ndarray, (height, width, 3) uint8
    """
    return read_image_file(body, expected_px).pixels


def to_sample(pixels: np.ndarray, size_px: int, crop_fraction: float = 1.0) -> tuple[np.ndarray, bool]:
    """Cut the centre of an image and average it down to a square sample.

    Parameters
    ----------
    pixels : ndarray, (height, width, 3) uint8
    size_px : int
        Side of the sample.
    crop_fraction : float
        Fraction of the shorter side to keep, about the centre.

    Returns
    -------
    sample : ndarray, (size_px, size_px, 3) uint8
        Each pixel is the mean over the area it covers (a bicubic interpolation where enlarged).
    enlarged : bool
        Whether the sample has more pixels than the part it was made from.
    """
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * crop_fraction))
    top, start = (height - side) / 2, (width - side) / 2
    enlarged = side < size_px
    method = Image.Resampling.BICUBIC if enlarged else Image.Resampling.BOX
    box = (start, top, start + side, top + side)
    sample = Image.fromarray(pixels).resize((size_px, size_px), method, box=box)
    return np.asarray(sample), enlarged


def sample_statistics(sample: np.ndarray) -> dict[str, float]:
    """Return the blank fraction, mean and standard deviation of a (height, width, 3) sample, for validation."""
    return {
        "blank_fraction": blank_fraction(sample),
        "mean": float(sample.mean()),
        "std": float(sample.std()),
    }


def pixel_sha256(sample: np.ndarray) -> str:
    """Return the sha256 of a sample's values, any shape, in C order, little endian."""
    return hashlib.sha256(np.ascontiguousarray(sample).tobytes()).hexdigest()
