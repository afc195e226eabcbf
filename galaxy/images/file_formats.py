"""Formats of image files: what a file is by its first bytes, whether it is cut off, and what the tags of a TIFF state.

Nothing here decodes pixels. A fault is an `ImageFaultError`, whose message is the reason for the ledger.
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin

READ_FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "WEBP")

_SIGNATURES = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"SIMPLE  =", "fits"),
    (b"BM", "bmp"),
    (b"\0\0\0\x0cjP  ", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"\xff\x0a", "jxl"),
    (b"8BPS", "psd"),
    (b"v/1\x01", "exr"),
    (b"\x93NUMPY", "npy"),
    (b"\x89HDF", "hdf5"),
    (b"%PDF", "pdf"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"<", "html"),
)
_DEPTHS = (1, 2, 4, 8, 12, 16)
_SAMPLE_FORMATS = {2: "signed_pixels", 3: "float_pixels", 5: "complex_pixels", 6: "complex_pixels"}
_COLOUR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}  # by PhotometricInterpretation
_ALPHA = (1, 2)  # ExtraSamples: premultiplied, and not
_REDUCED = 1  # bit of NewSubfileType: a smaller version of another page
_WHITE_IS_ZERO = 0


class ImageFaultError(ValueError):
    """Bytes are not a usable image; the message is the reason for the ledger."""


@dataclass(frozen=True)
class TiffTags:
    """What a TIFF states of its only page.

    Attributes
    ----------
    bits : int
        Bits of a value that are in use; 12 for 16-bit values whose stated maximum is 4095.
    inverted : bool
        Zero is white.
    """

    bits: int
    inverted: bool


def name_format(body: bytes) -> str:
    """Return which of `READ_FORMATS` a file is, by its first bytes.

    Raises
    ------
    ImageFaultError
        ``empty``, ``unsupported_format:NAME`` for another format that is known by name, else ``undecodable``.
    """
    if not body:
        raise ImageFaultError("empty")
    name = next((name for signature, name in _SIGNATURES if body.startswith(signature)), "")
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        name = "WEBP"
    if body[4:8] == b"ftyp":
        name = body[8:12].decode("ascii", "replace").strip().lower()  # avif, heic, mif1, ...
    if name in READ_FORMATS:
        return name
    raise ImageFaultError(f"unsupported_format:{name}" if name else "undecodable")


def is_cut_off(body: bytes, name: str) -> bool:
    """Return whether the end of a file of the format `name` is missing."""
    if name == "JPEG":
        return b"\xff\xd9" not in body[-64:]
    if name == "PNG":
        return b"IEND" not in body[-64:]
    if name == "GIF":
        return not body.rstrip(b"\0").endswith(b";")
    if name == "WEBP":
        return len(body) < 12 or len(body) < 8 + int(struct.unpack("<I", body[4:8])[0])
    return _is_cut_off_tiff(body)


def png_depth(body: bytes) -> int:
    """Return the bits per value of a PNG, 8 for a palette, whose colours have 8.

    Raises
    ------
    ImageFaultError
        ``crc_mismatch``: a chunk of pixels, palette or header is damaged, which Pillow would show as other pixels.
    """
    place = 8
    while place + 12 <= len(body):
        (length,) = struct.unpack(">I", body[place : place + 4])
        end = place + 8 + length
        is_critical = body[place + 4 : place + 5].isupper()
        if is_critical and end + 4 <= len(body):
            (stated,) = struct.unpack(">I", body[end : end + 4])
            if zlib.crc32(memoryview(body)[place + 4 : end]) != stated:
                raise ImageFaultError("crc_mismatch")
        place = end + 4
    depth, colour_type = body[24], body[25]
    return 8 if colour_type == 3 else depth


def read_tiff_tags(body: bytes) -> TiffTags:
    """Return what a TIFF states of its page.

    Raises
    ------
    ImageFaultError
        ``float_pixels``, ``signed_pixels``, ``complex_pixels``, ``bit_depth_N``, ``colour_model_NAME``,
        ``extra_channels`` or ``several_pages``: to bring these to 8-bit RGB would be a guess.
    """
    pages = _pages(body)
    page: Any = next(pages, {})
    if any(not int(further.get(254, 0)) & _REDUCED for further in pages):
        raise ImageFaultError("several_pages")
    for number in _values(page, 339):
        if number in _SAMPLE_FORMATS:
            raise ImageFaultError(_SAMPLE_FORMATS[number])
    bits = max(_values(page, 258), default=1)
    if bits not in _DEPTHS:
        raise ImageFaultError(f"bit_depth_{bits}")
    photometric = int(page.get(262, 1))
    _check_channels(page, photometric)
    if bits == 16:
        bits = _stated_bits(_values(page, 281))
    return TiffTags(bits, photometric == _WHITE_IS_ZERO)


def _check_channels(page: Any, photometric: int) -> None:
    """Check that a page has the channels of its colour model, and one more only where it is alpha."""
    if photometric not in _COLOUR_CHANNELS:
        raise ImageFaultError(f"colour_model_{'lab' if photometric == 8 else photometric}")
    more = int(page.get(277, 1)) - _COLOUR_CHANNELS[photometric]
    is_alpha = more == 1 and next(iter(_values(page, 338)), 0) in _ALPHA
    if more > 0 and not is_alpha:
        raise ImageFaultError("extra_channels")


def _stated_bits(maxima: Iterable[int]) -> int:
    """Return the bits that 16-bit values use by their stated maximum, where it is one below a power of two."""
    largest = max(maxima, default=0)
    return next((bits for bits in range(9, 16) if largest == (1 << bits) - 1), 16)


def _values(page: Any, tag: int) -> tuple[int, ...]:
    """Return the values of a tag; none where it is absent."""
    value = page.get(tag, ())
    return tuple(int(item) for item in (value if isinstance(value, tuple) else (value,)))


def _pages(body: bytes) -> Iterator[Any]:
    """Yield the pages of a TIFF, each a mapping of tags; whatever Pillow raises passes."""
    header = body[: 16 if _is_big(body) else 8]
    following = TiffImagePlugin.ImageFileDirectory_v2(header).next
    seen: set[int] = set()
    stream = io.BytesIO(body)
    while following and following not in seen:
        seen.add(following)
        stream.seek(following)
        page = TiffImagePlugin.ImageFileDirectory_v2(header)
        page.next = 0  # stays where the directory is cut off
        page.load(stream)
        yield page
        following = page.next


def _is_big(body: bytes) -> bool:
    """Return whether a TIFF is a BigTIFF, with 64-bit offsets."""
    return body[2:4] in (b"+\0", b"\0+")


def _is_cut_off_tiff(body: bytes) -> bool:
    """Return whether the directory of a TIFF's first page, or the pixels that it names, lie beyond the file's end."""
    if len(body) < 8:
        return True
    order = "<" if body[:2] == b"II" else ">"
    if _is_big(body) and len(body) < 16:
        return True
    (directory,) = struct.unpack(f"{order}Q", body[8:16]) if _is_big(body) else struct.unpack(f"{order}I", body[4:8])
    if directory + 2 > len(body):
        return True
    page: Any = next(_pages(body), {})
    ends = [
        start + count
        for starts, counts in ((273, 279), (324, 325))
        for start, count in zip(_values(page, starts), _values(page, counts), strict=False)
    ]
    return max(ends, default=len(body) + 1) > len(body)
