"""FITS images: values, headers and quantum as astropy's, and files that are refused by name."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from realbogus.records import SourceError
from realbogus.sources.fits_images import MOST_SIDE_PX, card_value, read_image, read_wcs
from tests.fits_files import wcs_header, write_image

NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(("dtype", "quantum"), [("f4", 0.0), ("f8", 0.0), ("i2", 1.0), ("u1", 1.0)])
def test_pixels_are_single_floats_and_integers_have_a_step(tmp_path, dtype, quantum):
    image = read_image(write_image(tmp_path / "a.fits", NUMBERS.astype(dtype), {}))
    assert image.pixels.dtype == np.float32
    assert image.pixels.tolist() == NUMBERS.tolist()
    assert image.quantum == quantum


def test_the_step_is_scaled_and_blank_integers_are_nan(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, 2, -5]] * 2, np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = -0.5, 10.0, -5
    (tmp_path / "a.fits").write_bytes(_bytes_of(hdu))
    image = read_image(tmp_path / "a.fits")
    assert image.quantum == 0.5
    assert image.pixels[0, :2].tolist() == [9.5, 9]
    assert np.isnan(image.pixels[0, 2])


def _bytes_of(hdu: fits.PrimaryHDU) -> bytes:
    """The file's bytes with the header as it is: astropy would scale the values on writing."""
    values = hdu.data.astype(">i2").tobytes()
    header = hdu.header.copy()
    return header.tostring().encode() + values + b"\0" * (-len(values) % 2880)


def test_an_image_is_chosen_by_number_or_name_and_is_the_first_otherwise(tmp_path):
    parts = [fits.PrimaryHDU(), fits.ImageHDU(NUMBERS, name="SCI"), fits.ImageHDU(NUMBERS + 1, name="ERR")]
    parts[0].header["GAIN"] = 3
    fits.HDUList(parts).writeto(tmp_path / "a.fits")
    assert read_image(tmp_path / "a.fits").pixels[0, 0] == 0
    assert read_image(tmp_path / "a.fits", 2).pixels[0, 0] == 1
    image = read_image(tmp_path / "a.fits", "ERR")
    assert image.pixels[0, 0] == 1
    assert [header.get("EXTNAME") for header in image.headers] == ["ERR", None]
    assert image.headers[1]["GAIN"] == 3
    with pytest.raises(SourceError, match=r"a\.fits cannot be read as FITS"):
        read_image(tmp_path / "a.fits", "BAD")
    with pytest.raises(SourceError, match=r"declares an image of shape \(\), expected two dimensions"):
        read_image(tmp_path / "a.fits", 0)


def test_an_axis_of_one_pixel_is_dropped(tmp_path):
    assert read_image(write_image(tmp_path / "a.fits", NUMBERS[None], {})).pixels.shape == (3, 4)
    with pytest.raises(SourceError, match=r"shape \(2, 3, 4\), expected two dimensions"):
        read_image(write_image(tmp_path / "b.fits", np.stack([NUMBERS] * 2), {}))


@pytest.mark.parametrize("side", [MOST_SIDE_PX, MOST_SIDE_PX + 1])
def test_a_side_may_have_so_many_pixels(tmp_path, side):
    path = write_image(tmp_path / "a.fits", np.zeros((2, side), np.uint8), {})
    if side == MOST_SIDE_PX:
        assert read_image(path).pixels.shape == (2, side)
        return
    with pytest.raises(SourceError, match=f"declares {side} x 2 pixels, the most is {MOST_SIDE_PX} a side"):
        read_image(path)


def test_a_packed_file_may_be_as_small_as_deflate_makes_it(tmp_path):
    path = write_image(tmp_path / "a.fits", np.zeros((2000, 2000), np.uint8), {})
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_image(tmp_path / "a.fits.gz").pixels.shape == (2000, 2000)


def test_absent_tables_and_other_files_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"frame .*none\.fits does not exist"):
        read_image(tmp_path / "none.fits")
    (tmp_path / "a.fits").write_bytes(b"no fits")
    with pytest.raises(SourceError, match=r"a\.fits cannot be read as FITS"):
        read_image(tmp_path / "a.fits")
    column = fits.Column("x", "D", array=np.zeros(3))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(tmp_path / "t.fits")
    with pytest.raises(SourceError, match=r"t\.fits holds no image of two dimensions"):
        read_image(tmp_path / "t.fits")
    with pytest.raises(SourceError, match="is not an image"):
        read_image(tmp_path / "t.fits", 1)


def test_a_wcs_is_read_where_there_is_one(tmp_path):
    header = read_image(write_image(tmp_path / "a.fits", NUMBERS, {}, wcs_header())).headers[0]
    wcs = read_wcs(tmp_path / "a.fits", header)
    assert wcs.all_pix2world(99, 74, 0)[0] == pytest.approx(150)
    assert read_wcs(tmp_path / "a.fits", fits.Header()) is None
    assert read_wcs(tmp_path / "a.fits", fits.Header({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"})) is None


def test_cards_without_a_value_count_as_absent():
    header = fits.Header()
    header["GOOD"], header["EMPTY"], header["NONE"] = 4.5, "", None
    assert card_value(header, "GOOD") == 4.5
    assert [card_value(header, name) for name in ("EMPTY", "NONE", "ABSENT")] == [None] * 3
