"""Image files of every kind as bytes: those that Pillow writes, and 16-bit colour, which it does not."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0, high: int | None = None) -> np.ndarray:
    """Random values of the whole range of an integer type, or below `high`; never 0."""
    return np.random.default_rng(seed).integers(1, high or np.iinfo(dtype).max, shape, dtype, endpoint=high is None)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes that Pillow writes for an image."""
    stream = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png(values: np.ndarray, colour_type: int, bits: int = 16, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of (height, width, channels) values of 8 or 16 bits, with further chunks before the pixels."""
    rows = values.astype(">u2" if bits == 16 else "u1")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def tiff(values: np.ndarray, photometric: int, order: str = "<", **tags: int) -> bytes:
    """An uncompressed TIFF of (height, width[, channels]) values; tags t339=3 and so on replace or add short tags."""
    pixels = values if values.ndim == 3 else values[..., None]
    height, width, channels = pixels.shape
    body = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits = pixels.dtype.itemsize * 8
    head = 8 + 2 * channels
    entries = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    longs = {273: head, 279: len(body)}
    lines = [(tag, 3, 1, struct.pack(f"{order}HH", value, 0)) for tag, value in entries.items()]
    lines += [(tag, 4, 1, struct.pack(f"{order}I", value)) for tag, value in longs.items()]
    if 258 not in entries:
        short = struct.pack(f"{order}HH", bits, bits if channels == 2 else 0)
        lines.append((258, 3, channels, short if channels < 3 else struct.pack(f"{order}I", 8)))
    directory = struct.pack(f"{order}H", len(lines)) + b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in sorted(lines)
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    depths = struct.pack(f"{order}{channels}H", *[bits] * channels)
    return mark + struct.pack(f"{order}I", head + len(body)) + depths + body + directory + bytes(4)
