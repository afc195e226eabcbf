"""Frames, requests, checks of an answer, and the making of a sample."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from galaxy.images import cutouts
from galaxy.images.file_formats import ImageFaultError


def jpeg(pixels: np.ndarray, quality: int = 95) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def noise(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (side, side, 3), dtype=np.uint8)


def test_petrosian_frame_is_what_the_volunteers_saw() -> None:
    scale, clipped, reasons = cutouts.frame_scales("petrosian", 424, np.array([10.0]), np.array([np.nan]))
    assert scale[0] == pytest.approx(0.2)  # 0.02 R90 at 424 px
    assert not clipped[0]
    assert reasons == [None]


def test_a_missing_quantity_is_a_reason_and_never_a_default() -> None:
    radius = np.array([np.nan, 0.0, -9999.0])
    scale, _, reasons = cutouts.frame_scales("petrosian", 424, radius, np.full(3, 0.05))
    assert reasons == ["petro_r90_arcsec_missing", "petro_r90_arcsec_not_positive", "petro_r90_arcsec_not_positive"]
    assert np.isnan(scale).all()
    assert cutouts.frame_scales("redshift", 424, radius, np.array([0.1, np.nan, 0.0]))[2] == [
        None,
        "redshift_missing",
        "redshift_not_positive",
    ]


def test_a_wrong_radius_is_clipped_and_recorded() -> None:
    scale, clipped, _ = cutouts.frame_scales("petrosian", 424, np.array([0.5, 10.0, 900.0]), np.zeros(3))
    assert scale.tolist() == [0.03, pytest.approx(0.2), 1.5]
    assert clipped.tolist() == [True, False, True]


def test_redshift_frame_has_one_size_in_kpc() -> None:
    redshift = np.array([0.05, 0.1])
    scale, _, _ = cutouts.frame_scales("redshift", 424, np.full(2, np.nan), redshift)
    # Flat LCDM 0.3/0.7, h 0.7 (Wright's calculator): 0.977 and 1.844 kpc per arcsec.
    assert scale * 424 * np.array([0.977, 1.844]) == pytest.approx(cutouts.KPC_WIDTH, rel=2e-3)


def test_fixed_field_needs_its_scale() -> None:
    with pytest.raises(ValueError, match="scale_arcsec_per_px"):
        cutouts.frame_scales("fixed", 424, np.zeros(1), np.zeros(1))


def test_requests_name_what_each_service_reads() -> None:
    frame = cutouts.SkyPatch(10.5, -1.25, 0.2, 424, False)
    address, parameters = cutouts.service_request("sdss", "http://s", "dr17", frame)
    assert address == "http://s/dr17/SkyServerWS/ImgCutout/getjpeg"
    assert parameters == {"ra": "10.5000000", "dec": "-1.2500000", "scale": "0.200000", "width": "424", "height": "424"}
    address, parameters = cutouts.service_request("legacy", "http://l", "ls-dr10", frame)
    # The viewer silently ignores "pix" and "scale".
    assert parameters["pixscale"] == "0.200000"
    assert parameters["layer"] == "ls-dr10"
    assert frame.width_arcsec == pytest.approx(84.8)


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        (b"<html>busy</html>", "text/html", "wrong_type"),
        (b"<html>busy</html>", "image/jpeg", "wrong_type"),
        (jpeg(noise(64))[:900], "image/jpeg", "truncated"),
    ],
)
def test_markers(body: bytes, media_type: str, reason: str) -> None:
    with pytest.raises(ImageFaultError, match=reason):
        cutouts.check_markers(media_type, body)


def test_decoding_refuses_what_is_not_the_image() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    lettered = black.copy()
    lettered[:4] = 255  # an error tile: 94 % zeros
    uniform = np.full((64, 64, 3), 40, np.uint8)
    for body, reason in [
        (jpeg(noise(64)), "wrong_size"),
        (jpeg(noise(64))[:-900], "truncated"),
        (b"\xff\xd8 nothing \xff\xd9", "undecodable"),
        (jpeg(black), "blank"),
        (jpeg(lettered), "blank"),
        (jpeg(uniform), "blank"),
    ]:
        with pytest.raises(ImageFaultError, match=reason):
            cutouts.decode(body, 32 if reason == "wrong_size" else None)
    assert cutouts.decode(jpeg(noise(64)), 64).shape == (64, 64, 3)


@given(st.integers(1, 4), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_downsampling_by_a_whole_factor_is_the_mean_over_blocks(factor: int, seed: int) -> None:
    image = noise(16 * factor, seed)
    sample, enlarged = cutouts.to_sample(image, 16)
    blocks = image.reshape(16, factor, 16, factor, 3).mean(axis=(1, 3))
    assert np.abs(sample - blocks).max() <= 1.0
    assert not enlarged


def test_crop_takes_the_centre_and_enlarging_is_flagged() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[25:75, 25:75] = 200
    sample, enlarged = cutouts.to_sample(image, 50, crop_fraction=0.5)
    assert (sample == 200).all()
    assert not enlarged
    assert cutouts.to_sample(image, 64, crop_fraction=0.5)[1]


def test_the_key_of_a_request_depends_on_who_is_asked_for_what() -> None:
    keys = {
        cutouts.request_key("a", "/p", {"ra": "1", "dec": "2"}),
        cutouts.request_key("b", "/p", {"ra": "1", "dec": "2"}),
        cutouts.request_key("a", "/q", {"ra": "1", "dec": "2"}),
        cutouts.request_key("a", "/p", {"ra": "2", "dec": "1"}),
    }
    assert len(keys) == 4
    assert cutouts.request_key("a", "/p", {"dec": "2", "ra": "1"}) in keys
