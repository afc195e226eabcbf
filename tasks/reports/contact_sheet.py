"""Contact sheets: many images with captions in one image."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP_PX = 2
CAPTION_PX = 14
_PAPER, _INK = (16, 16, 20), (225, 225, 225)


def contact_sheet(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int, tile_px: int | None = None
) -> Image.Image:
    """Arrange images in rows, each with its caption below it.

    Parameters
    ----------
    images : sequence of ndarray, (height, width, 3) uint8
    captions : sequence of str
        One per image, cut to the width of a tile; if all are empty, no space is reserved for them.
    columns : int
        Images per row.
    tile_px : int, optional
        Side of the square to which each image is resized; default: the shape of the first image.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    if len(images) != len(captions):
        raise ValueError(f"{len(images)} images but {len(captions)} captions")
    if columns < 1:
        raise ValueError(f"columns={columns} is below 1")
    first = images[0].shape[:2] if len(images) else (1, 1)
    high, wide = (tile_px, tile_px) if tile_px else first
    step_x, step_y = wide + GAP_PX, high + GAP_PX + (CAPTION_PX if any(captions) else 0)
    used = min(columns, max(len(images), 1))
    rows = max(-(-len(images) // columns), 1)
    sheet = Image.new("RGB", (used * step_x + GAP_PX, rows * step_y + GAP_PX), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=CAPTION_PX - 4)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(number, columns)
        x, y = GAP_PX + column * step_x, GAP_PX + row * step_y
        sheet.paste(_resized(image, wide, high), (x, y))
        while caption and pen.textlength(caption, font=font) > wide:
            caption = caption[:-1]
        pen.text((x + 1, y + high), caption, fill=_INK, font=font)
    return sheet


def thumbnail(image: np.ndarray, most_px: int) -> bytes:
    """Return an image (height, width, 3) uint8 as PNG: averaged down to a side of `most_px`, small ones enlarged.

    Pixels of an enlarged one are squares of equal size.
    """
    high, wide = image.shape[:2]
    side, stream = max(high, wide), io.BytesIO()
    if side > most_px:
        wide, high = (max(1, round(length * most_px / side)) for length in (wide, high))
    else:
        wide, high = (length * (most_px // side) for length in (wide, high))
    _resized(image, wide, high).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def to_jpeg(picture: Image.Image) -> bytes:
    """Encode an image as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _resized(image: np.ndarray, wide: int, high: int) -> Image.Image:
    picture = Image.fromarray(image)
    method = Image.Resampling.BOX if max(picture.size) >= max(wide, high) else Image.Resampling.NEAREST
    return picture if picture.size == (wide, high) else picture.resize((wide, high), method)
