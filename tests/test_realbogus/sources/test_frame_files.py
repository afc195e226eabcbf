"""Frames of other surveys: quantities from the header or the caller, and files that must be refused."""

import gzip
import resource

import numpy as np
import pytest
from astropy.io import fits

from realbogus.frames import Mask
from realbogus.records import SourceError
from realbogus.sources.frame_files import MOST_PADDED, PaddingError, read_frame, read_frame_file
from realbogus.sources.frame_keywords import FrameKeywords
from tests.fits_files import HEADER, RNG, draw_sky, wcs_header, write_image

VALUES = {"gain_e_per_count": 2.0, "saturation_counts": 60000.0, "pixel_arcsec": 1.2}


def test_a_frame_has_what_its_header_tells(tmp_path):
    image = draw_sky()
    image[3, 4], image[5, 6], image[7, 8] = np.nan, np.inf, 51000
    read = read_frame_file(write_image(tmp_path / "a.fits", image, wcs=wcs_header()))
    frame = read.frame
    assert (frame.gain_e_per_count, frame.saturation_counts, frame.zero_point_mag) == (1.7, 50000.0, 24.5)
    assert (read.epoch_mjd, read.exposure_s, read.detector) == (59000.75, 9.0, "12")
    assert frame.pixel_arcsec == pytest.approx(1.2, rel=1e-6)
    assert frame.quantum_counts == 0
    assert np.argwhere(frame.mask == Mask.NO_DATA).tolist() == [[3, 4], [5, 6]]
    assert np.argwhere(frame.mask == Mask.SATURATED).tolist() == [[7, 8]]
    np.testing.assert_array_equal(np.isnan(frame.pixels), frame.mask == Mask.NO_DATA)
    good = frame.mask == 0
    np.testing.assert_array_equal(frame.pixels[good], image[good])
    assert np.median(frame.background) == pytest.approx(300, abs=1)
    assert np.median(frame.background_rms) == pytest.approx(12, rel=0.05)
    assert {frame.pixels.dtype, frame.background.dtype, frame.background_rms.dtype} == {np.dtype(np.float32)}
    assert frame.mask.dtype == np.uint8
    assert frame.wcs.pixel_to_world_values(99, 74) == pytest.approx((150.0, 20.0))


@pytest.mark.parametrize(("card", "name"), [("GAIN", "gain_e_per_count"), ("SATURATE", "saturation_counts")])
def test_without_gain_or_saturation_a_frame_is_refused_by_that_name(tmp_path, card, name):
    header = {key: value for key, value in HEADER.items() if key != card}
    path = write_image(tmp_path / "a.fits", draw_sky(), header, wcs_header())
    with pytest.raises(SourceError, match=rf"a\.fits has no {name}: none of .*{card}.* give it in the table"):
        read_frame(path)
    assert getattr(read_frame(path, values={name: "55555"}), name) == 55555
    with pytest.raises(SourceError, match=f"{name} is -1.0, it must be above 0"):
        read_frame(path, values={name: -1})
    bad = write_image(tmp_path / "b.fits", draw_sky(), HEADER | {card: 0.0}, wcs_header())
    with pytest.raises(SourceError, match=rf"b\.fits has no {name}: {card} = 0.0 must be above 0; give it"):
        read_frame(bad)
    with pytest.raises(SourceError, match=f"{name} is 'much', it must be a number"):
        read_frame(path, values={name: "much"})


def test_without_zero_point_magnitudes_stay_instrumental(tmp_path):
    path = write_image(tmp_path / "a.fits", draw_sky(), {"GAIN": 1, "SATURATE": 1e4})
    with pytest.raises(SourceError, match="has no pixel_arcsec"):
        read_frame(path)
    frame = read_frame(path, values={"pixel_arcsec": 0.5})
    assert (frame.zero_point_mag, frame.wcs, frame.pixel_arcsec) == (None, None, 0.5)


@pytest.mark.parametrize("word", ["n/a", True, -999.0, 99.0])
def test_an_optional_keyword_without_a_number_is_missing_and_noted(tmp_path, word):
    path = write_image(tmp_path / "a.fits", draw_sky(), HEADER | {"MAGZP": word, "EXPTIME": "long"}, wcs_header())
    read = read_frame_file(path)
    assert (read.frame.zero_point_mag, read.exposure_s) == (None, None)
    assert read.reading.missing["zero_point_mag"] == read.reading.missing["exposure_s"] == 1
    assert [note for note in read.reading.notes if "zero_point_mag" in note] == [
        f"{path}: MAGZP = {word!r} is no zero_point_mag and is not used"
    ]
    other = write_image(tmp_path / "b.fits", draw_sky(), HEADER | {"MAGZP": word, "ZP": 25.0}, wcs_header())
    read = read_frame_file(other)
    assert (read.frame.zero_point_mag, read.reading.understood["zero_point_mag"]) == (25.0, "ZP")


def test_a_gain_that_is_no_number_gives_way_to_the_next_keyword(tmp_path):
    path = write_image(tmp_path / "a.fits", draw_sky(), HEADER | {"GAIN": "high", "EGAIN": 2.5}, wcs_header())
    read = read_frame_file(path)
    assert read.frame.gain_e_per_count == 2.5
    assert any("GAIN = 'high' is no gain_e_per_count" in note for note in read.reading.notes)


@pytest.mark.parametrize(
    ("gain", "electron_gain", "used"), [(100, 1.5, 1.5), (1.5, 1.505, 1.5), (1.5, 0.0, 1.5), (1.5, "low", 1.5)]
)
def test_a_camera_s_setting_gives_way_to_electrons_per_count(tmp_path, gain, electron_gain, used):
    path = write_image(tmp_path / "a.fits", draw_sky(), HEADER | {"GAIN": gain, "EGAIN": electron_gain}, wcs_header())
    read = read_frame_file(path)
    assert read.frame.gain_e_per_count == used
    keyword = "GAIN" if gain == used else "EGAIN"
    assert read.reading.understood["gain_e_per_count"] == keyword
    told = (f"{path}: GAIN = 100 and EGAIN = 1.5 electrons per count: EGAIN is used",)
    assert read.reading.notes == (told if keyword == "EGAIN" else ())
    assert read_frame(path, FrameKeywords(gain_e_per_count=("GAIN",))).gain_e_per_count == gain
    assert read_frame(path, values={"gain_e_per_count": 3}).gain_e_per_count == 3


@pytest.mark.parametrize(
    ("unit", "gain", "is_told"),
    [
        ("ADU", 1.7, False),
        ("counts", 1.7, False),
        ("electron", 1.0, False),
        ("electron", 1.7, True),
        ("MJy/sr", 1, True),
    ],
)
def test_pixels_in_another_unit_than_counts_are_told(tmp_path, unit, gain, is_told):
    path = write_image(tmp_path / "a.fits", draw_sky(), HEADER | {"BUNIT": unit, "GAIN": gain}, wcs_header())
    told = (f"{path}: BUNIT = {unit!r}: pixels are taken as counts of {gain:g} electrons",)
    assert read_frame_file(path).reading.notes == (told if is_told else ())


def test_a_reference_position_without_a_projection_is_told(tmp_path):
    types = {"CTYPE1": "RA--TAN", "CTYPE2": "DEC-TAN"}
    path = write_image(tmp_path / "a.fits", draw_sky(), HEADER, dict(wcs_header()) | types)
    told = "CTYPE1 = 'RA--TAN' and CTYPE2 = 'DEC-TAN' name no projection of the sky, such as RA---TAN and DEC--TAN"
    with pytest.raises(SourceError, match=f"no pixel_arcsec: none of PIXSCALE.* is in its header; {told}.*; give it"):
        read_frame(path)
    read = read_frame_file(path, values={"pixel_arcsec": 1.2})
    assert read.frame.wcs is None
    assert read.reading.notes == (f"{path}: {told}: CRVAL1 and CRVAL2 are not read",)


@pytest.mark.parametrize("value", [0.0, -999.0, 65535.0, 300.0, np.nan])
def test_padding_has_no_data_as_if_it_were_nan(tmp_path, value):
    image = draw_sky()
    filled, empty = image.copy(), image.copy()
    for padded, fill in ((filled, value), (empty, np.nan)):
        padded[:, :40] = padded[130:] = padded[60:90, 100:130] = fill
    frame = read_frame(write_image(tmp_path / "a.fits", filled, wcs=wcs_header()))
    expected = read_frame(write_image(tmp_path / "b.fits", empty, wcs=wcs_header()))
    np.testing.assert_array_equal(frame.mask, expected.mask)
    np.testing.assert_array_equal(frame.pixels, expected.pixels)
    np.testing.assert_array_equal(frame.background_rms, expected.background_rms)
    assert expected.padded_fraction == 0
    assert frame.padded_fraction == pytest.approx(0 if np.isnan(value) else np.isnan(empty).mean())


@pytest.mark.parametrize("share", [0.7, 0.8])
def test_a_frame_that_is_mostly_padding_is_refused_as_that(tmp_path, share):
    image = draw_sky((200, 100))
    image[: int(200 * share)] = -1
    path = write_image(tmp_path / "a.fits", image, wcs=wcs_header())
    if share < MOST_PADDED:
        assert read_frame(path).padded_fraction == pytest.approx(share)
        return
    with pytest.raises(PaddingError, match=r"a\.fits: 80.0% of the frame is padding, .* such as -1; the most is 75%"):
        read_frame(path)


def test_keywords_can_be_named_and_given_values_take_precedence(tmp_path):
    path = write_image(tmp_path / "a.fits", draw_sky(), HEADER | {"MYGAIN": 9.0, "MYZP": 27.0})
    keywords = FrameKeywords(gain_e_per_count=("NONE", "MYGAIN"), zero_point_mag=("MYZP",))
    frame = read_frame(path, keywords, {"pixel_arcsec": 1, "saturation_counts": 777})
    assert (frame.gain_e_per_count, frame.zero_point_mag, frame.saturation_counts) == (9.0, 27.0, 777.0)


@pytest.mark.parametrize(
    ("card", "mjd"),
    [
        ({"MJD-OBS": 59000.75}, 59000.75),
        ({"JD": 2459001.25}, 59000.75),
        ({"DATE-OBS": "2020-05-31T18:00:00.0"}, 59000.75),
        ({"DATE-OBS": "2020-05-31"}, None),
        ({"DATE-OBS": "15/04/88"}, None),
        ({"DATE-OBS": "31/05/20", "UT": "18:00:00"}, 59000.75),
        ({"MJD-OBS": 0.0, "DATE-OBS": "2020-05-31 18:00:00"}, 59000.75),
        ({}, None),
    ],
)
def test_epochs_are_read_in_every_writing(tmp_path, card, mjd):
    path = write_image(tmp_path / "a.fits", draw_sky(), card)
    assert read_frame_file(path, values=VALUES).epoch_mjd == mjd


def test_the_reading_says_where_each_quantity_came_from(tmp_path):
    cards = {"EGAIN": 1.5, "SATLEVEL": 5e4, "DATE-OBS": "2020-05-31", "UTSTART": 18.0, "MJD-END": 59050.0}
    reading = read_frame_file(write_image(tmp_path / "a.fits", draw_sky(), cards), values={"pixel_arcsec": 1}).reading
    assert reading.understood == {
        **{"gain_e_per_count": "EGAIN", "saturation_counts": "SATLEVEL", "pixel_arcsec": "table of pairs"},
        "epoch_mjd": "DATE-OBS + UTSTART",
    }
    assert reading.missing == {"zero_point_mag": 1, "exposure_s": 1, "detector": 1}
    (note,) = reading.notes
    assert note.startswith(f"{tmp_path}/a.fits: DATE-OBS + UTSTART says MJD 59000.75000 and MJD-END MJD 59050.0000")


def test_the_table_of_pairs_gives_an_epoch_in_any_writing(tmp_path):
    path = write_image(tmp_path / "a.fits", draw_sky(), {"MJD-OBS": 59000.75})
    for text in ("59123.5", "2459124.0", "2020-10-01T12:00:00"):
        read = read_frame_file(path, values=VALUES | {"epoch_mjd": text})
        assert (read.epoch_mjd, read.reading.understood["epoch_mjd"]) == (59123.5, "table of pairs")


def test_whole_numbers_tell_their_step(tmp_path):
    image = RNG.integers(900, 1100, (120, 120))
    plain = write_image(tmp_path / "a.fits", image.astype(np.uint16))
    scaled = fits.PrimaryHDU(image.astype(np.float32))
    scaled.scale("int16", bscale=2.5, bzero=7)
    scaled.writeto(tmp_path / "b.fits")
    for path, step in ((plain, 1.0), (tmp_path / "b.fits", 2.5)):
        frame = read_frame(path, values=VALUES)
        assert frame.quantum_counts == step
        np.testing.assert_allclose(frame.pixels, image, atol=step / 2)


@pytest.mark.parametrize("kind", ["gz", "fz", "second"])
def test_packed_images_and_those_behind_an_empty_part_are_the_same(tmp_path, kind):
    image = RNG.integers(900, 1100, (120, 130)).astype(np.int16)
    path = tmp_path / f"a.fits{'' if kind == 'second' else '.' + kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(write_image(tmp_path / "a.fits", image).read_bytes()))
    else:
        second = fits.CompImageHDU(image) if kind == "fz" else fits.ImageHDU(image)
        fits.HDUList([fits.PrimaryHDU(header=fits.Header(HEADER)), second]).writeto(path)
    frame = read_frame(path, values={"pixel_arcsec": 1})
    np.testing.assert_array_equal(frame.pixels, image)
    assert frame.gain_e_per_count == 1.7  # of the first header
    assert frame.quantum_counts == 1


def test_masks_and_variances_lie_beside(tmp_path):
    image = draw_sky()
    image[60, 60] = 5300
    variance = np.full(image.shape, 400, np.float32) + np.maximum(image - 300, 0) / 1.7
    bad = np.zeros(image.shape, np.uint8)
    bad[10:20, 30:40] = 4
    variance[50, 50], variance[51, 51] = 0, np.nan
    write_image(tmp_path / "mask.fits", bad)
    write_image(tmp_path / "variance.fits", variance)
    path = write_image(tmp_path / "a.fits", image, wcs=wcs_header())
    beside = {"mask": tmp_path / "mask.fits", "variance": tmp_path / "variance.fits"}
    frame = read_frame_file(path, **beside).frame
    expected = bad != 0
    expected[50, 50] = expected[51, 51] = True
    np.testing.assert_array_equal(frame.mask == Mask.DEFECT, expected)
    good = frame.mask == 0
    np.testing.assert_allclose(frame.variance()[good], variance[good], rtol=0.02)
    write_image(tmp_path / "small.fits", bad[:-1])
    with pytest.raises(SourceError, match=r"small\.fits is \(149, 200\), its frame is \(150, 200\)"):
        read_frame_file(path, mask=tmp_path / "small.fits")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("side", "message"),
    [
        (9_000_000, "(no file can hold|is 20000 a side)"),
        (99_999, "the most is 20000 a side"),
        (19_999, "cannot hold them"),
    ],
)
def test_huge_declared_images_are_refused_before_memory_is_taken(tmp_path, packed, side, message):
    body = write_image(tmp_path / "a.fits", draw_sky((5, 5))).read_bytes()
    for axis in (b"NAXIS1", b"NAXIS2"):
        body = body.replace(axis + b"  =                    5", axis + b"  = %20d" % side)
    path = tmp_path / ("b.fits.gz" if packed else "b.fits")
    path.write_bytes(gzip.compress(body) if packed else body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=rf"b\.fits.* declares .*{message}"):
        read_frame(path, values=VALUES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the image would take 1.6 GB


def test_huge_tile_compressed_images_are_refused(tmp_path):
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(draw_sky((50, 50)))]).writeto(path)
    body = path.read_bytes()
    for axis in (b"ZNAXIS1", b"ZNAXIS2"):
        body = body.replace(axis + b" =                   50", axis + b" =                19999")
    path.write_bytes(body)
    with pytest.raises(SourceError, match="cannot hold them"):
        read_frame(path, values=VALUES)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz", "fits.fz"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.9])
def test_truncated_files_are_named(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    if suffix == "fits.fz":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(draw_sky())]).writeto(path)
    else:
        fits.PrimaryHDU(draw_sky()).writeto(path)
    body = path.read_bytes()
    path.write_bytes(body[: int(share * len(body))])
    with pytest.raises(SourceError, match=r"cut\.fits"):
        read_frame(path, values=VALUES)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((90, 90), np.nan, np.float32), "no usable pixel"),
        (draw_sky((90, 90), 7e4), "no usable pixel"),
        (np.full((90, 90), 7e4, np.float32), "100.0% of the frame is padding, .* such as 70000; the most is 75%"),
        (np.full((14, 14), 5.0, np.float32), "noise is 0.0"),
        (np.zeros((4, 30, 30), np.float32), "expected two dimensions"),
        (np.zeros(30, np.float32), "no image of two dimensions"),
    ],
)
def test_frames_without_a_sky_are_refused_by_name(tmp_path, image, message):
    with pytest.raises(SourceError, match=rf"a\.fits.*{message}"):
        read_frame(write_image(tmp_path / "a.fits", image), values=VALUES)


def test_other_files_are_refused_by_name(tmp_path):
    (tmp_path / "a.fits").write_text("SIMPLE  = no")
    with pytest.raises(SourceError, match=r"a\.fits cannot be read as FITS"):
        read_frame(tmp_path / "a.fits")
    with pytest.raises(SourceError, match="does not exist"):
        read_frame(tmp_path / "b.fits")


@pytest.mark.parametrize(
    ("name", "values", "shape", "scale", "quantum"),
    [
        ("galsim_tpv", {"gain_e_per_count": 2.0}, (512, 512), 0.2626, 0.0),
        ("galsim_tnx", {}, (400, 400), 0.267, 1.0),
        ("astropy_m13", VALUES | {"pixel_arcsec": None}, (300, 300), 1.0, 1.0),
        ("sep_image", VALUES, (256, 256), 1.2, 2.92273835509),
        ("eso-midas_dss_test1", VALUES | {"pixel_arcsec": None}, (177, 177), 1.70, 1.0),
        ("galsim_sipsample", {"saturation_counts": 1000.0}, (256, 256), 1.223, 0.0),
        ("ccdproc_a8280271", VALUES | {"gain_e_per_count": None}, (520, 536), 1.2, 1.0),
        ("iraf_m51_dev_pix", VALUES, (512, 512), 1.2, 1.0),
    ],
)
def test_real_frames_are_read(shared_data, name, values, shape, scale, quantum):
    frame = read_frame(shared_data / "science_frames" / f"{name}.fits.gz", values=values)
    assert frame.shape == shape
    assert frame.pixel_arcsec == pytest.approx(scale, rel=0.01)
    assert frame.quantum_counts == quantum
    assert frame.background_rms.min() >= 0.29 * np.median(frame.background_rms)
