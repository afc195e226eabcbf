"""Light by origin: compact storage, stamps at integer and fractional shifts, and what lies outside a frame."""

import numpy as np
import pytest
from scipy import sparse

from realbogus.simulation.light_by_origin import LightByOrigin, pack_light

SHAPE = (40, 60)


def numbered():
    return np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE) + 1


@pytest.mark.parametrize(("lit", "kind"), [(10, sparse.csr_array), (11, np.ndarray)])
def test_images_with_at_most_a_tenth_of_lit_pixels_are_sparse(lit, kind):
    image = np.zeros((10, 10), np.float32)
    image.flat[:lit] = 2
    packed = pack_light(image)
    assert isinstance(packed, kind)
    np.testing.assert_array_equal(packed if isinstance(packed, np.ndarray) else packed.toarray(), image)


def test_a_dark_image_is_not_stored():
    assert pack_light(np.zeros((3, 4), np.float32)) is None


@pytest.mark.parametrize("pack", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(("x", "y"), [(20, 10), (19.5, 9.5), (20.49, 10.49)])
def test_a_stamp_is_centred_on_the_nearest_pixel(pack, x, y):
    light = LightByOrigin({"star": pack(numbered())}, {}, (0.0, 0.0))
    new, reference = light.stamp(x, y, 2)["star"]
    np.testing.assert_array_equal(new, numbered()[8:13, 18:23])
    assert new.dtype == np.float32
    assert not reference.any()


@pytest.mark.parametrize(
    ("x", "y", "inside", "pixels"),
    [
        (0, 0, np.s_[2:, 2:], np.s_[:3, :3]),
        (59, 39, np.s_[:3, :3], np.s_[37:, 57:]),
        (-2, 20, np.s_[:, 4:], np.s_[18:23, :1]),
        (61, 20, np.s_[:, :1], np.s_[18:23, 59:]),
    ],
)
def test_a_stamp_beyond_the_frame_is_dark_there(x, y, inside, pixels):
    new, _ = LightByOrigin({"star": numbered()}, {}, (0.0, 0.0)).stamp(x, y, 2)["star"]
    np.testing.assert_array_equal(new[inside], numbered()[pixels])
    new[inside] = 0
    assert not new.any()


@pytest.mark.parametrize("x", [-3, 62])
def test_a_stamp_outside_the_frame_is_dark(x):
    assert not LightByOrigin({"star": numbered()}, {}, (0.0, 0.0)).stamp(x, 20, 2)["star"][0].any()


def test_the_reference_is_read_at_the_position_minus_the_shift():
    light = LightByOrigin({}, {"star": numbered()}, (3.0, -2.0))
    new, reference = light.stamp(20, 10, 2)["star"]
    np.testing.assert_array_equal(reference, numbered()[10:15, 15:20])
    assert not new.any()


def test_a_fractional_shift_of_the_reference_is_interpolated():
    """Cubic splines reproduce a plane, whose value at a fractional position is known."""
    rows, columns = np.indices(SHAPE)
    plane = (5 * rows + 2 * columns).astype(np.float32)
    _, reference = LightByOrigin({}, {"sky": plane}, (0.25, -0.5)).stamp(30, 20, 2)["sky"]
    dy, dx = np.mgrid[-2:3, -2:3]
    np.testing.assert_allclose(reference, 5 * (20.5 + dy) + 2 * (29.75 + dx), atol=0.01)


def test_names_are_those_of_both_frames_without_repetition():
    light = LightByOrigin({"star": numbered(), "flare": numbered()}, {"ghost": numbered(), "star": numbered()}, (0, 0))
    assert light.names == ("star", "flare", "ghost")
    assert set(light.stamp(20, 20, 1)) == {"star", "flare", "ghost"}
