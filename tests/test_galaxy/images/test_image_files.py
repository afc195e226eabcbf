"""Image files of every depth and colour model: read by their own values, or refused by name."""

import contextlib
import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from galaxy.images.file_formats import ImageFaultError
from galaxy.images.image_files import conversion_names, preview_image, read_image_file
from tests.image_bytes import encoded, noise, png, tiff

SIDE = 24
GREY, RGB = (SIDE, SIDE), (SIDE, SIDE, 3)
# EXIF orientation -> the stored image of an upright one.
STORED = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.rot90(a, -1),
}


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1)


def fault(body: bytes) -> str:
    with pytest.raises(ImageFaultError) as caught:
        read_image_file(body)
    return str(caught.value)


def test_an_ordinary_image_is_as_pillow_reads_it_and_nothing_is_told() -> None:
    values = noise((SIDE, 2 * SIDE, 3))
    for body in (encoded(values, "PNG"), encoded(values, "TIFF"), encoded(values, "WEBP", lossless=True)):
        picture = read_image_file(body)
        np.testing.assert_array_equal(picture.pixels, values)
        assert picture.conversions == {}
    for image in (Image.fromarray(values), Image.fromarray(values).convert("L")):
        body = encoded(image, "JPEG", quality=90)
        expected = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))
        picture = read_image_file(body)
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.conversions == {}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (encoded(noise(GREY, "uint16")), grey(noise(GREY, "uint16"))),
        (encoded(noise(GREY, "uint16"), "TIFF"), grey(noise(GREY, "uint16"))),
        (encoded(noise(GREY, "uint16"), "TIFF", compression="tiff_lzw"), grey(noise(GREY, "uint16"))),
        (tiff(noise(GREY, "uint16"), 1, ">"), grey(noise(GREY, "uint16"))),
        (tiff(noise(GREY, "uint16"), 0), grey(65535 - noise(GREY, "uint16"))),
        (tiff(noise(RGB, "uint16"), 2), noise(RGB, "uint16")),
        (tiff(noise(RGB, "uint16"), 2, ">"), noise(RGB, "uint16")),
        (png(noise(RGB, "uint16"), 2), noise(RGB, "uint16")),
    ],
    ids=[
        "png",
        "tiff",
        "tiff-lzw",
        "tiff-big-endian",
        "tiff-white-is-zero",
        "tiff-rgb",
        "tiff-rgb-big-endian",
        "png-rgb",
    ],
)
def test_16_bits_are_scaled_by_their_full_range(body: bytes, shown: np.ndarray) -> None:
    picture = read_image_file(body)
    assert np.abs(picture.pixels - shown / 257).max() <= 1
    assert picture.conversions == {"bit_depth": 16}
    assert conversion_names(picture.conversions) == ["bit_depth_16"]


def test_the_same_picture_in_8_and_16_bits_is_the_same_sample() -> None:
    values = noise(GREY)
    for factor in (256, 257):
        deep = values.astype(np.uint16) * factor
        np.testing.assert_array_equal(read_image_file(encoded(deep)).pixels, grey(values))
        np.testing.assert_array_equal(read_image_file(png(grey(deep), 2)).pixels, grey(values))


@pytest.mark.parametrize(("maximum", "bits"), [(1023, 10), (4095, 12), (16383, 14), (3000, 16), (65535, 16)])
def test_a_maximum_counts_only_where_it_states_a_number_of_bits(maximum: int, bits: int) -> None:
    values = noise(GREY, "uint16", high=1 << bits)
    picture = read_image_file(tiff(values, 1, t281=maximum))
    np.testing.assert_array_equal(picture.pixels, grey(values >> (bits - 8)))
    assert picture.conversions == {"bit_depth": bits}


def test_a_tiff_of_12_bits() -> None:
    values = noise(GREY, "uint16", high=4096).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], axis=-1)
    body = tiff(packed.astype(np.uint8).reshape(SIDE, -1), 1, t256=SIDE, t258=12)
    picture = read_image_file(body)
    np.testing.assert_array_equal(picture.pixels, grey(values.reshape(GREY) >> 4))
    assert picture.conversions == {"bit_depth": 12}


def test_deep_images_of_few_levels_are_told_or_refused() -> None:
    dim = noise(GREY, "uint16", high=16 * 256)
    assert read_image_file(encoded(dim)).conversions == {"bit_depth": 16, "dim": True}
    dim[0, 0] = 16 * 256
    assert read_image_file(encoded(dim)).conversions == {"bit_depth": 16}
    assert fault(encoded(noise(GREY, "uint16", high=256))) == "too_dim"
    assert fault(png(noise(RGB, "uint16", high=256), 2)) == "too_dim"


def test_one_and_four_bits_span_black_to_white() -> None:
    black_white = noise(GREY) > 90
    picture = read_image_file(encoded(Image.fromarray(black_white)))
    np.testing.assert_array_equal(picture.pixels, grey(black_white * np.uint8(255)))
    assert conversion_names(picture.conversions) == ["bit_depth_1"]
    packed = noise((SIDE, SIDE // 2))
    picture = read_image_file(tiff(packed, 1, t256=SIDE, t258=4))
    np.testing.assert_array_equal(picture.pixels, grey(np.stack([packed >> 4, packed & 15], -1).reshape(GREY) * 17))
    assert picture.conversions == {"bit_depth": 4}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_laid_on_black(kind: str) -> None:
    rgba = noise((*GREY, 4))
    rgba[:4, :, 3], rgba[4:8, :, 3] = 0, 255
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    picture = read_image_file(encoded(rgba, kind, **options))
    exact = rgba[..., :3] * (rgba[..., 3:] / 255)
    assert np.abs(picture.pixels - exact).max() <= 0.5
    assert picture.conversions == {"transparency": "black"}
    rgba[..., 3] = 255
    assert read_image_file(encoded(rgba, kind, **options)).conversions == {}


def test_transparent_grey_and_palettes_are_laid_on_black() -> None:
    values = noise(GREY)
    alpha = noise(GREY, seed=1)
    expected = grey(values) * (alpha[..., None] / 255)
    la = Image.merge("LA", [Image.fromarray(values), Image.fromarray(alpha)])
    assert np.abs(read_image_file(encoded(la)).pixels - expected).max() <= 0.5
    deep = png(np.stack([values, alpha], -1).astype(np.uint16) * 257, 4)
    assert np.abs(read_image_file(deep).pixels - expected).max() <= 0.5
    assert read_image_file(deep).conversions == {"bit_depth": 16, "transparency": "black"}
    palette = Image.fromarray(noise(RGB)).quantize(16)
    shown, hidden = np.asarray(palette.convert("RGB")), np.asarray(palette) == 3
    for kind in ("PNG", "GIF"):
        assert read_image_file(encoded(palette, kind)).conversions == {}
        picture = read_image_file(encoded(palette, kind, transparency=3))
        np.testing.assert_array_equal(picture.pixels, np.where(hidden[..., None], 0, shown))
        assert picture.conversions == {"transparency": "black"}


def test_a_transparent_value_is_black_at_any_depth() -> None:
    for bits, values in ((8, noise(GREY)), (16, noise(GREY, "uint16"))):
        key = int(values[0, 0])
        body = png(values[..., None], 0, bits, (b"tRNS", struct.pack(">H", key)))
        expected = grey(np.where(values == key, 0, values >> (bits - 8)))
        picture = read_image_file(body)
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.conversions["transparency"] == "black"
    colours = noise(RGB)
    body = png(colours, 2, 8, (b"tRNS", struct.pack(">HHH", *colours[0, 0])))
    assert not read_image_file(body).pixels[0, 0].any()
    body = png(noise(RGB, "uint16"), 2, 16, (b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    assert fault(body) == "transparency_key"


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "PNG16"])
def test_the_orientation_is_applied(kind: str, orientation: int) -> None:
    y, x = np.indices((2 * SIDE, SIDE))
    upright = np.stack([4 * y + 20, 8 * x + 20, 0 * x + 60], axis=-1).astype(np.uint8)
    if kind == "PNG16":
        upright = grey(upright[..., 0] // 2 + upright[..., 1] // 2)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if kind == "PNG16":
        body = encoded(stored[..., 0].astype(np.uint16) * 257, "PNG", exif=exif)
    else:
        body = encoded(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    picture = read_image_file(body)
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).max() <= (30 if kind == "JPEG" else 0)
    assert picture.conversions.pop("orientation") == orientation
    assert picture.conversions == ({"bit_depth": 16} if kind == "PNG16" else {})


def test_an_orientation_that_is_none_or_cannot_be_read() -> None:
    values = noise(RGB)
    for number in (0, 1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = number
        assert read_image_file(encoded(values, "PNG", exif=exif)).conversions == {}
    picture = read_image_file(encoded(values, "PNG", exif=b"Exif\0\0no header at all"))
    np.testing.assert_array_equal(picture.pixels, values)
    assert conversion_names(picture.conversions) == ["orientation_unreadable"]


def test_the_first_frame_of_an_animation_is_taken_and_told() -> None:
    frames = [Image.fromarray(noise(RGB, seed=seed)).quantize(32) for seed in range(3)]
    for kind in ("GIF", "PNG", "WEBP"):
        options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
        body = encoded(frames[0], kind, **options | ({"lossless": True} if kind == "WEBP" else {}))
        picture = read_image_file(body)
        np.testing.assert_array_equal(picture.pixels, np.asarray(frames[0].convert("RGB")))
        assert picture.conversions == {"frames": 3}
    assert read_image_file(encoded(frames[0], "GIF")).conversions == {}


def test_cmyk_is_converted_and_told() -> None:
    image = Image.fromarray(noise(RGB)).convert("CMYK")
    picture = read_image_file(encoded(image, "TIFF"))
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert conversion_names(picture.conversions) == ["colour_model_cmyk"]
    assert read_image_file(encoded(image, "JPEG")).conversions == {"colour_model": "cmyk"}


FLOATS = np.random.default_rng(0).uniform(0, 1, GREY)
PAGES = [Image.fromarray(noise(RGB, seed=seed)) for seed in range(2)]
REFUSED = {
    "float": (tiff(FLOATS.astype("f4"), 1, t339=3), "float_pixels"),
    "float-rgb": (tiff(grey(FLOATS.astype("f4")), 2, t339=3), "float_pixels"),
    "float64": (tiff(FLOATS, 1, t339=3), "float_pixels"),
    "float16": (tiff(FLOATS.astype("f2"), 1, ">", t339=3), "float_pixels"),
    "signed": (tiff(noise(GREY, "int16"), 1, t339=2), "signed_pixels"),
    "signed-8": (tiff(noise(GREY, "int8"), 1, t339=2), "signed_pixels"),
    "integer-32": (tiff(noise(GREY, "uint32"), 1), "bit_depth_32"),
    "ten-bits": (tiff(noise(GREY), 1, t258=10), "bit_depth_10"),
    "four-bands": (tiff(noise((*GREY, 4)), 2), "extra_channels"),
    "five-bands": (tiff(noise((*GREY, 5), "uint16"), 1), "extra_channels"),
    "unspecified-band": (tiff(noise((*GREY, 4)), 2, t338=0), "extra_channels"),
    "lab": (encoded(Image.new("LAB", GREY, (90, 40, 30)), "TIFF"), "colour_model_lab"),
    "raw": (tiff(noise(GREY), 32803), "colour_model_32803"),
    "pages": (encoded(PAGES[0], "TIFF", save_all=True, append_images=PAGES[1:]), "several_pages"),
    "odd": (tiff(noise(GREY, "uint16"), 1, t266=3), "unsupported_tiff"),
    "empty": (b"", "empty"),
    "fits": (b"SIMPLE  =                    T" + bytes(2850), "unsupported_format:fits"),
    "bmp": (encoded(PAGES[0], "BMP"), "unsupported_format:bmp"),
    "heic": (bytes(3) + b"\x18ftypheic" + bytes(40), "unsupported_format:heic"),
    "page": (b"<!DOCTYPE html><p>busy", "unsupported_format:html"),
    "nothing": (b"no image at all", "undecodable"),
    "bomb": (png(np.zeros((1, 1)), 0, 8)[:16] + struct.pack(">II", 40_000, 40_000), "too_many_pixels"),
    "black": (encoded(np.zeros(RGB, np.uint8)), "blank"),
    "black-16": (encoded(np.zeros(GREY, np.uint16)), "too_dim"),
    "uniform": (encoded(np.full(RGB, 7, np.uint8)), "blank"),
    "uniform colour": (encoded(np.full(RGB, (10, 90, 200), np.uint8)), "blank"),
    "one pixel": (encoded(np.full((1, 1, 3), (10, 90, 200), np.uint8)), "blank"),
    "hidden": (encoded(np.dstack([noise(RGB), np.zeros(GREY, np.uint8)])), "transparent"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_a_guess_is_refused_by_name(name: str) -> None:
    body, reason = REFUSED[name]
    if name == "bomb":
        header = body[12:] + b"\x08\0\0\0\0"
        body = body[:12] + header + struct.pack(">I", zlib.crc32(header)) + png(noise(RGB), 2, 8)[33:]
    assert fault(body) == reason


@pytest.mark.parametrize(("brighter", "is_blank"), [(0.2, True), (0.3, True), (0.6, False)])
def test_an_image_of_several_counted_parts_needs_scatter_as_a_whole(brighter: float, is_blank: bool) -> None:
    """Of 10 and 11 the standard deviation is sqrt(p (1 - p)), 0.5 at most; of 10 and 12 twice that."""
    values = np.full((1200, 1100, 3), 10, np.uint8)
    values[: round(1200 * brighter)] += 1 if is_blank else 2
    if is_blank:
        assert fault(encoded(values)) == "blank"
    else:
        np.testing.assert_array_equal(read_image_file(encoded(values)).pixels, values)


def test_reading_takes_a_few_times_the_memory_of_the_pixels() -> None:
    values = noise((2500, 2500, 3))
    body = encoded(values, "PNG", compress_level=0)
    tracemalloc.start()
    read_image_file(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * values.nbytes


def test_a_reduced_copy_beside_a_tiff_is_not_a_second_page() -> None:
    image = PAGES[0]
    small = image.resize((8, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    body = encoded(image, "TIFF", save_all=True, append_images=[small])
    np.testing.assert_array_equal(read_image_file(body).pixels, np.asarray(image))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_file_that_is_cut_off_is_named_as_that(kind: str, part: float) -> None:
    body = encoded(Image.fromarray(noise((64, 64, 3))), kind)
    assert fault(body[: int(part * len(body))]) == "truncated"


def test_a_changed_byte_of_a_png_is_found() -> None:
    body = bytearray(encoded(noise(RGB)))
    place = body.index(b"IDAT") + 100
    body[place] ^= 1
    assert fault(bytes(body)) == "crc_mismatch"


WHOLE = [
    *(encoded(Image.fromarray(noise(RGB)), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF")),
    tiff(noise(GREY, "uint16"), 1, ">"),
    encoded(noise(GREY, "uint16"), "TIFF", compression="tiff_adobe_deflate"),
    encoded(Image.fromarray(noise((*GREY, 4))), "PNG"),
]


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_are_an_image_or_a_reason(body: bytes, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(body)
    for place, value in changes:
        # Half of the changes fall into the first 100 bytes, where the headers are.
        end = 100 if value % 2 else len(body)
        damaged[int(place * min(end, len(body)))] = value
    # Any other error than a reason fails.
    with contextlib.suppress(ImageFaultError):
        picture = read_image_file(bytes(damaged))
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape[2:] == (3,)


def test_a_refused_image_can_be_looked_at_if_it_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = np.full((9, 7, 3), 3, np.uint8)
    with pytest.raises(ImageFaultError, match="blank"):
        read_image_file(encoded(blank))
    np.testing.assert_array_equal(preview_image(encoded(blank)), blank)
    body = encoded(noise((9, 7, 3)))
    start = preview_image(body[: len(body) // 2])
    assert start is not None
    np.testing.assert_array_equal(start[:3], noise((9, 7, 3))[:3])
    assert not start[-1].any(), "what is missing is black"
    assert preview_image(b"<html>") is None
    monkeypatch.setattr("galaxy.images.image_files.MOST_PREVIEWED", 9 * 7 - 1)
    assert preview_image(encoded(blank)) is None
