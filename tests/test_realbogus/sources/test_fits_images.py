"""FITS images: values, headers and quantum as astropy's, and files that are refused by name."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from astropy.io import fits

from realbogus.records import SourceError
from realbogus.sources.fits_images import MOST_SIDE_PX, SkyMappingError, card_value, read_image, read_sky_image
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


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files_are_read_and_cut_ones_named(tmp_path, suffix, pack):
    content = write_image(tmp_path / "a.fits", np.zeros((1500, 1500), np.uint8), {}).read_bytes()
    path = tmp_path / f"a.fits.{suffix}"
    path.write_bytes(pack(content))
    assert read_image(path).pixels.shape == (1500, 1500)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=rf"a\.fits\.{suffix} "):
        read_image(path)


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
    image, wcs = read_sky_image(write_image(tmp_path / "a.fits", NUMBERS, {}, wcs_header()))
    assert image.pixels.tolist() == NUMBERS.tolist()
    assert wcs.all_pix2world(99, 74, 0)[0] == pytest.approx(150)
    assert read_sky_image(write_image(tmp_path / "b.fits", NUMBERS, {}))[1] is None
    linear = {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}
    assert read_sky_image(write_image(tmp_path / "c.fits", NUMBERS, linear))[1] is None


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CDELT1": 0.0}, "matrix is singular"),
        ({"CTYPE1": "RA---ABC", "CTYPE2": "DEC--ABC"}, "Unrecognized projection code"),
        ({"CTYPE2": "RA---TAN"}, "Inconsistent projection types"),
        ({"CUNIT1": "furlong"}, "CUNIT1"),
        ({"CD1_1": 2e-4, "CD1_2": 1e-4, "CD2_1": 4e-4, "CD2_2": 2e-4}, "is singular"),
        ({f"CD{row}_{column}": 0.0 for row in (1, 2) for column in (1, 2)}, "singular: all CDi_j are 0"),
        ({"CRPIX2": "left"}, "CRPIX2 is 'left', it must be a number"),
        ({"CRVAL1": None}, "CRVAL1 is '', it must be a number"),
        ({"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1.0", "CPDIS2": "LOOKUP", "DP2": "EXTVER: 1.0"}, "NAXES was not set"),
        ({"CPDIS2": "LOOKUP"}, r"DP2\.AXIS\.\d' not found"),
        ({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "B_ORDER": 2, "B_0_2": 1e-6}, "B_ORDER provided without"),
        ({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": "two", "B_ORDER": 2}, "not supported"),
        (
            {"CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB", "PS1_0": "LUT", "PS2_0": "LUT"},
            "allocation error: a table .* is missing or malf",
        ),
        ({"CTYPE1": "DEC--CAR", "CTYPE2": "RA---CAR", "CRVAL1": 0.0}, "its first axis is DEC--CAR"),
        ({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CDELT1": 900.0, "CDELT2": 900.0}, "for any part of the frame"),
    ],
)
def test_a_wcs_that_cannot_be_used_is_named_as_that(tmp_path, cards, message):
    path = write_image(tmp_path / "a.fits", NUMBERS, {}, dict(wcs_header()) | cards)
    with pytest.raises(SkyMappingError, match=rf"a\.fits: the WCS in its header cannot be used: .*{message}"):
        read_sky_image(path)
    assert read_image(path).pixels.tolist() == NUMBERS.tolist()


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, "CTYPE1 is GLON-TAN"),
        ({"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"}, "CTYPE1 is ELON-TAN"),
        ({"RADESYS": "FK4"}, "RADESYS is FK4"),
        ({"RADESYS": "GAPPT"}, "RADESYS is GAPPT"),
        ({"RADESYS": "", "RADECSYS": "FK4-NO-E"}, "RADESYS is FK4-NO-E"),
        ({"RADESYS": "", "EQUINOX": 1950.0}, "its equinox is 1950"),
        ({"RADESYS": "", "EQUINOX": "B1950"}, "its equinox is 1950"),
        ({"RADESYS": "", "EPOCH": 1950}, "its equinox is 1950"),
        ({"RADESYS": "FK5", "EQUINOX": 2024.5}, "its equinox is 2024.5"),
    ],
)
def test_positions_of_another_system_are_refused(tmp_path, cards, message):
    path = write_image(tmp_path / "a.fits", NUMBERS, {}, dict(wcs_header()) | cards)
    with pytest.raises(
        SkyMappingError, match=rf"cannot be used: {message}, its positions must be ICRS or FK5 of J2000"
    ):
        read_sky_image(path)


@pytest.mark.parametrize(
    "cards",
    [
        {"RADESYS": "FK5", "EQUINOX": 2000.0},
        {"RADESYS": "FK5", "EQUINOX": "J2000.0"},
        {"RADESYS": "ICRS", "EQUINOX": 2024.5},
        {"RADESYS": "", "EPOCH": 2024.5},
        {"RADESYS": "", "EQUINOX": "unknown"},
        {"RADESYS": ""},
    ],
)
def test_positions_of_j2000_are_read(tmp_path, cards):
    path = write_image(tmp_path / "a.fits", NUMBERS, {}, dict(wcs_header()) | cards)
    assert read_sky_image(path)[1].all_pix2world(99, 74, 0)[0] == pytest.approx(150)


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (("CRVAL1",), "CRVAL1 is missing"),
        (("CRVAL1", "CRVAL2"), "CRVAL1 is missing"),
        (("CDELT1", "CDELT2"), "it has no pixel scale, neither CDi_j nor CDELT1 and CDELT2"),
        (("CDELT2",), "it has no pixel scale"),
    ],
)
def test_a_wcs_without_place_or_scale_is_refused(tmp_path, absent, message):
    header = wcs_header()
    for name in absent:
        del header[name]
    path = write_image(tmp_path / "a.fits", NUMBERS, {}, header)
    with pytest.raises(SkyMappingError, match=f"cannot be used: {message}"):
        read_sky_image(path)
    for row in (1, 2):
        header[f"CD{row}_{row}"], header[f"CRVAL{row}"] = 3e-4, 20.0
    assert read_sky_image(write_image(tmp_path / "b.fits", NUMBERS, {}, header))[1] is not None


def test_a_position_that_is_nan_is_refused(tmp_path):
    """FITS has no NaN in headers: astropy cannot parse such a card, and wcslib takes 0 for it."""
    path = write_image(tmp_path / "a.fits", NUMBERS, {}, wcs_header())
    body, card = path.read_bytes(), b"CRVAL1  =                  NaN"
    start = body.index(b"CRVAL1  =")
    path.write_bytes(body[:start] + card + body[start + len(card) :])
    with pytest.raises(SkyMappingError, match="CRVAL1 is 'NaN', it must be a number"):
        read_sky_image(path)


def test_a_folder_is_named_as_that(tmp_path):
    (tmp_path / "a.fits").mkdir()
    with pytest.raises(SourceError, match=r"a\.fits is a folder, not a FITS file"):
        read_image(tmp_path / "a.fits")


def test_distortion_tables_of_the_file_are_used(tmp_path):
    """A lookup table of constant shifts along x moves every position by so many pixels."""
    image = fits.PrimaryHDU(np.zeros((90, 120), np.float32), header=wcs_header())
    tables = []
    for axis, shift_px in ((1, 7.0), (2, 0.0)):
        table = fits.ImageHDU(np.full((4, 4), shift_px, np.float32), name="WCSDVARR", ver=axis)
        for side in (1, 2):
            table.header.update({f"CRPIX{side}": 1.0, f"CRVAL{side}": 1.0, f"CDELT{side}": 50.0})
        tables.append(table)
        image.header[f"CPDIS{axis}"] = "LOOKUP"
        for entry in (f"EXTVER: {axis}", "NAXES: 2", "AXIS.1: 1", "AXIS.2: 2"):
            image.header.append((f"DP{axis}", f"{entry}.0"), end=True)
    fits.HDUList([image, *tables]).writeto(tmp_path / "a.fits")
    _, distorted = read_sky_image(tmp_path / "a.fits")
    _, plain = read_sky_image(write_image(tmp_path / "b.fits", np.zeros((90, 120), np.float32), {}, wcs_header()))
    np.testing.assert_allclose(distorted.all_pix2world(30, 40, 0), plain.all_pix2world(37, 40, 0), rtol=1e-9)


def test_coordinates_in_a_table_of_the_file_are_used(tmp_path):
    """With -TAB the file's own table gives the position of each pixel."""
    height, width = 6, 8
    ra, dec = np.meshgrid(150 + np.arange(width) ** 2 / 100, 20 + np.arange(height) / 50)
    places = np.stack([ra, dec], axis=-1)[None]
    column = fits.Column("PLACES", f"{places.size}D", array=places.reshape(1, -1), dim=f"(2,{width},{height})")
    table = fits.BinTableHDU.from_columns([column], name="SKY")
    header = {"CTYPE1": "RA---TAB", "CTYPE2": "DEC--TAB", "CUNIT1": "deg", "CUNIT2": "deg"}
    for axis in (1, 2):
        header |= {f"CRPIX{axis}": 1.0, f"CRVAL{axis}": 1.0, f"CDELT{axis}": 1.0}
        header |= {f"PS{axis}_0": "SKY", f"PS{axis}_1": "PLACES", f"PV{axis}_3": axis}
    image = fits.PrimaryHDU(np.zeros((height, width), np.float32))
    image.header.update(header)
    fits.HDUList([image, table]).writeto(tmp_path / "a.fits")
    _, wcs = read_sky_image(tmp_path / "a.fits")
    np.testing.assert_allclose(wcs.all_pix2world(5, 3, 0), (ra[3, 5], dec[3, 5]))


def test_cards_without_a_value_count_as_absent():
    header = fits.Header()
    header["GOOD"], header["EMPTY"], header["NONE"] = 4.5, "", None
    assert card_value(header, "GOOD") == 4.5
    assert [card_value(header, name) for name in ("EMPTY", "NONE", "ABSENT")] == [None] * 3
