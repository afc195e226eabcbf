"""Reading of image files: JPEG, PNG, TIFF, GIF and WebP of any depth and colour model, as 8-bit RGB.

A file is known by its content, whatever its suffix. What a conversion changed is told in `Picture.conversions`; what
could be brought to 8-bit RGB only by a guess is an `ImageFaultError`. Colour profiles and gamma are not applied.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from galaxy.images.file_formats import ImageFaultError, is_cut_off, name_format, png_depth, read_tiff_tags

MOST_BLANK = 0.5  # an SDSS error tile is 91 % exact zeros, a real field under 8 %
LEAST_SCATTER = 0.5  # the viewer of legacysurvey.org answers a uniform tile where it has no data
MOST_PREVIEWED = 1 << 24  # pixels of a picture that is only looked at
DIM = 16  # of 256: images of more than 8 bits that stay below it lose most of their levels

_COUNTED_AT_ONCE = 1 << 20  # pixels
_BY_VALUE = ("bit_depth", "colour_model")
_WITH_ALPHA = {"P": "P", "PA": "PA", "LA": "LA", "RGBA": "RGBA", "La": "LA", "RGBa": "RGBA"}
"""Mode of Pillow's that may be transparent -> the mode without colours multiplied by their alpha."""
_ORIENTATIONS = range(2, 9)  # 1 is upright

_DECODER_FAULTS: tuple[type[Exception], ...] = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, Warning, struct.error, zlib.error),
)
"""Kinds of error that Pillow's decoders raise on damaged bytes."""

# Pillow warns of damaged metadata, which no pixel depends on. `warnings.catch_warnings` does not hold in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Picture:
    """An image file as 8-bit RGB.

    Attributes
    ----------
    pixels : ndarray, (height, width, 3) uint8
    conversions : dict
        What was changed; empty for an upright opaque image of 8 bits. ``bit_depth``: bits of a value, where not 8;
        ``dim``: true where all values of a deeper image lie in the lowest sixteenth of its range; ``transparency``:
        ``black``, laid on black; ``orientation``: the EXIF orientation that was applied, or ``unreadable``;
        ``frames``: frames of an animation, of which the first was taken; ``colour_model``: ``cmyk``.
    """

    pixels: np.ndarray
    conversions: dict[str, Any] = field(default_factory=dict)


def read_image_file(body: bytes, expected_px: int | None = None) -> Picture:
    """Read an image file in full.

    Values of more than 8 bits are scaled by their full range (their upper 8 bits are kept), those of fewer likewise;
    grey is repeated in all channels.

    Parameters
    ----------
    body : bytes
    expected_px : int, optional
        The width and height that were asked for.

    Raises
    ------
    ImageFaultError
        ``empty``, ``unsupported_format:NAME``, ``undecodable``, ``truncated``, ``too_many_pixels``, ``crc_mismatch``,
        ``wrong_size``, ``blank``, ``transparent``, ``too_dim``, ``transparency_key``,
        ``unsupported_tiff``, or one of `read_tiff_tags`.
    """
    name = name_format(body)
    # Pillow would fill what is missing of a truncated file with grey when this is set by anyone.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    conversions: dict[str, Any] = {}
    with _decoding_faults(body, name):
        bits, inverted = _depth(body, name)
        if bits != 8:
            conversions["bit_depth"] = bits
        pixels = _decode(body, name, expected_px, (bits, inverted), conversions)
    _require_content(pixels, bits, conversions)
    if bits > 8 and pixels.max() < DIM:
        conversions["dim"] = True
    return Picture(pixels, conversions)


def preview_image(body: bytes) -> np.ndarray | None:
    """Return the image of a file that `read_image_file` may refuse, as (height, width, 3) uint8, to be looked at.

    Its content and size are not judged; of a damaged file it is what comes before the damage, and black. None where
    nothing decodes, or it has more than `MOST_PREVIEWED` pixels.
    """
    try:
        name = name_format(body)
        with _decoding_faults(body, name):
            with Image.open(io.BytesIO(body), formats=(name,)) as image:
                if image.width * image.height > MOST_PREVIEWED:
                    return None
            return _decode(body, name, None, _depth(body, name), {})
    except ImageFaultError:
        return _decode_start(body)


def _decode_start(body: bytes) -> np.ndarray | None:
    """Return a damaged image with black for what is missing; None where nothing of it decodes."""
    with suppress(ImageFaultError, *_DECODER_FAULTS):
        with Image.open(io.BytesIO(body), formats=(name_format(body),)) as image:
            if image.width * image.height > MOST_PREVIEWED:
                return None
            with suppress(*_DECODER_FAULTS):
                image.load()
            image.tile = []  # nothing is left to decode: what is decoded stays
            pixels = np.asarray(image.convert("RGB"))
        return pixels if pixels.any() else None
    return None


def conversion_names(conversions: Mapping[str, Any]) -> list[str]:
    """Return the names to count conversions by, such as ``bit_depth_16`` and ``transparency``; other keys are none."""
    names = [f"{key}_{conversions[key]}" for key in _BY_VALUE if key in conversions]
    if conversions.get("orientation") == "unreadable":
        return [*names, "orientation_unreadable"]
    return names + [key for key in ("dim", "transparency", "orientation", "frames") if key in conversions]


def blank_fraction(pixels: np.ndarray) -> float:
    """Return the fraction of the (height, width) pixels that are exactly zero in all channels."""
    return float(1.0 - np.count_nonzero(pixels.any(axis=-1)) / pixels[..., 0].size)


def _decode(
    body: bytes, name: str, expected_px: int | None, depth: tuple[int, bool], conversions: dict[str, Any]
) -> np.ndarray:
    """Return a file's image as (height, width, 3) uint8; Pillow's own copy of it ends here."""
    with Image.open(io.BytesIO(body), formats=(name,)) as image:
        if expected_px is not None and image.size != (expected_px, expected_px):
            raise ImageFaultError("wrong_size")
        frames = 1 if name == "TIFF" else getattr(image, "n_frames", 1)
        if frames > 1:
            conversions["frames"] = frames
        return _to_rgb(_upright(image, conversions), *depth, conversions)


@contextmanager
def _decoding_faults(body: bytes, name: str) -> Iterator[None]:
    """Turn what Pillow raises on damaged bytes into an `ImageFaultError`."""
    try:
        yield
    except (ImageFaultError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageFaultError("too_many_pixels") from error
    except _DECODER_FAULTS as error:
        raise ImageFaultError(_name_fault(body, name, error)) from error


def _name_fault(body: bytes, name: str, error: Exception) -> str:
    try:
        if is_cut_off(body, name):
            return "truncated"
    except (SyntaxError, struct.error, IndexError, TypeError, ValueError, OverflowError):
        return "undecodable"  # the directory of a damaged TIFF
    return "unsupported_tiff" if name == "TIFF" and isinstance(error, UnidentifiedImageError) else "undecodable"


def _depth(body: bytes, name: str) -> tuple[int, bool]:
    """Return the bits per value, and whether zero is white."""
    if name == "TIFF":
        tags = read_tiff_tags(body)
        return tags.bits, tags.inverted
    return png_depth(body) if name == "PNG" else 8, False


def _upright(image: Image.Image, conversions: dict[str, Any]) -> Image.Image:
    """Return the decoded image turned as its EXIF orientation says, and note that."""
    try:
        # Before decoding: that of a TIFF turns the image and forgets the tag.
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, struct.error, OSError, KeyError, IndexError, TypeError, ValueError):
        image.load()  # raises where it is the pixels that are damaged
        conversions["orientation"] = "unreadable"
        return image
    image.load()
    if orientation not in _ORIENTATIONS:
        return image
    conversions["orientation"] = int(orientation)
    return ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image, bits: int, inverted: bool, conversions: dict[str, Any]) -> np.ndarray:
    """Return a decoded image as (height, width, 3) uint8; colour models and transparency are noted."""
    mode, key = image.mode, image.info.get("transparency")
    if mode.startswith("I;16"):
        rgb, alpha = _deep_grey(image, bits, inverted)
        return _on_black(rgb, alpha, conversions)
    if mode in ("1", "L") and isinstance(key, int):
        grey = np.asarray(image.convert("L"))
        alpha = np.where(grey == key * 255 // ((1 << bits) - 1), 0, 255)
        return _on_black(_grey_rgb(grey), alpha, conversions)
    if mode in _WITH_ALPHA or (mode == "RGB" and key is not None):
        rgba = _straight_rgba(image, bits)
        return _on_black(rgba[..., :3], rgba[..., 3], conversions)
    if mode not in ("1", "L", "RGB", "YCbCr", "CMYK"):
        raise ImageFaultError(f"colour_model_{mode.lower()}")
    if mode == "CMYK":
        conversions["colour_model"] = "cmyk"
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def _deep_grey(image: Image.Image, bits: int, inverted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper 8 bits of a deep grey image as (height, width, 3) uint8, and its alpha (height, width)."""
    values, key = np.asarray(image).astype(np.uint16), image.info.get("transparency")
    shown = (1 << bits) - 1 - values if inverted else values
    alpha = np.full(values.shape, 255) if key is None else np.where(values == key, 0, 255)
    return _grey_rgb((shown >> (bits - 8)).astype(np.uint8)), alpha


def _straight_rgba(image: Image.Image, bits: int) -> np.ndarray:
    """Return an image that may be transparent as (height, width, 4) uint8, colours not multiplied by their alpha."""
    if image.mode == "RGB" and bits == 16:
        raise ImageFaultError("transparency_key")  # names a 16-bit colour, of which 8 bits are left
    return np.asarray(image.convert(_WITH_ALPHA.get(image.mode, image.mode)).convert("RGBA"))


def _grey_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def _on_black(rgb: np.ndarray, alpha: np.ndarray, conversions: dict[str, Any]) -> np.ndarray:
    """Return (height, width, 3) uint8 laid on black by its alpha (height, width) from 0 to 255; noted where any is."""
    if alpha.min() == 255:
        return rgb
    conversions["transparency"] = "black"
    return ((rgb.astype(np.uint16) * alpha[..., None].astype(np.uint16) + 127) // 255).astype(np.uint8)


def _require_content(pixels: np.ndarray, bits: int, conversions: Mapping[str, Any]) -> None:
    """Refuse (height, width, 3) pixels without content, by what took it."""
    if blank_fraction(pixels) <= MOST_BLANK and _scatter(pixels) >= LEAST_SCATTER:
        return
    if "transparency" in conversions:
        raise ImageFaultError("transparent")
    raise ImageFaultError("too_dim" if bits > 8 and pixels.max() < DIM else "blank")


def _scatter(pixels: np.ndarray) -> float:
    """Return the largest standard deviation of a channel of (height, width, 3) uint8; 0 for a uniform colour.

    It is that of the channels' histograms: NumPy's own takes 24 bytes a value, 4 GB for the largest image.
    """
    rows, values = max(1, _COUNTED_AT_ONCE // pixels.shape[1]), np.arange(256)
    counts = np.zeros((3, 256))
    for first in range(0, len(pixels), rows):
        block = pixels[first : first + rows]
        counts += [np.bincount(block[..., channel].ravel(), minlength=256) for channel in range(3)]
    shares = counts / (pixels.size / 3)
    means = shares @ values
    return float(np.sqrt((shares * (values - means[:, None]) ** 2).sum(axis=1).max()))
