import io

import numpy as np
import pytest
from PIL import Image

from tasks.reports.contact_sheet import CAPTION_PX, GAP_PX, contact_sheet, thumbnail


def _plain(level: int, side: int = 20) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


def test_images_stand_in_rows_in_their_order():
    sheet = np.asarray(contact_sheet([_plain(level) for level in (50, 100, 150)], ["", "", ""], columns=2))
    step = 20 + GAP_PX
    assert sheet.shape == (2 * step + GAP_PX, 2 * step + GAP_PX, 3)
    for (row, column), level in {(0, 0): 50, (0, 1): 100, (1, 0): 150}.items():
        top, left = GAP_PX + row * step, GAP_PX + column * step
        assert (sheet[top : top + 20, left : left + 20] == level).all()


def test_captions_get_room_and_never_cover_an_image():
    sheet = np.asarray(contact_sheet([_plain(90), _plain(90)], ["a much too long caption", "b"], columns=1))
    for top in (GAP_PX, GAP_PX + 20 + GAP_PX + CAPTION_PX):
        assert (sheet[top : top + 20, GAP_PX : GAP_PX + 20] == 90).all()
    below = sheet[GAP_PX + 20 : GAP_PX + 20 + CAPTION_PX]
    assert below.max() > 150, "the caption is not drawn"


def test_a_tile_size_rescales_by_area():
    checks = np.indices((40, 40)).sum(axis=0) % 2 * 200
    sheet = np.asarray(contact_sheet([np.stack([checks] * 3, axis=2).astype(np.uint8)], [""], 1, tile_px=20))
    assert (sheet[GAP_PX : GAP_PX + 20, GAP_PX : GAP_PX + 20] == 100).all()


def test_captions_must_be_as_many_as_images():
    with pytest.raises(ValueError, match="1 images but 2 captions"):
        contact_sheet([_plain(1)], ["a", "b"], columns=1)


@pytest.mark.parametrize(("shape", "shown"), [((29, 29), (203, 203)), ((424, 212), (224, 112)), ((1, 3), (74, 222))])
def test_a_thumbnail_keeps_the_sides_in_proportion_and_small_pixels_square(shape, shown):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    drawn = np.asarray(Image.open(io.BytesIO(thumbnail(image, 224))))
    assert drawn.shape[:2] == shown
    assert np.abs(drawn.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 2
    if shape[0] < shown[0]:
        np.testing.assert_array_equal(drawn[:: shown[0] // shape[0], :: shown[1] // shape[1]], image)
