"""Frames and pairs of others: what a header tells, what the table tells, and files that must be refused."""

import gzip
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from realbogus.frames import Mask
from realbogus.records import SourceError
from realbogus.sources.frame_files import FrameKeywords, read_frame, read_frame_file
from realbogus.sources.frame_pairs import PairFiles, read_difference, read_pair, read_pairs, read_psf

RNG = np.random.default_rng(2)
TOLD = {"gain_e_per_count": 2.0, "saturation_counts": 60000.0, "pixel_arcsec": 1.2}
HEADER = {"GAIN": 1.7, "SATURATE": 50000.0, "MAGZP": 24.5, "MJD-OBS": 59000.75, "EXPTIME": 9.0, "CCDID": 12}


def _sky(shape=(150, 200), level=300.0, sigma=12.0) -> np.ndarray:
    return RNG.normal(level, sigma, shape).astype(np.float32)


def _wcs(x: float = 0.0, y: float = 0.0, scale_arcsec: float = 1.2, ra: float = 150.0) -> fits.Header:
    """A tangent plane whose pixels lie (x, y) off those of the default one."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, 20.0], [100.0 - x, 75.0 - y]
    wcs.wcs.cdelt = [-scale_arcsec / 3600, scale_arcsec / 3600]
    return wcs.to_header()


def _write(path: Path, image: np.ndarray, header: dict | None = None, wcs: fits.Header | None = None) -> Path:
    hdu = fits.PrimaryHDU(image)
    for cards in (HEADER if header is None else header, wcs or {}):
        hdu.header.update(cards)
    hdu.writeto(path)
    return path


def test_a_frame_has_what_its_header_tells(tmp_path):
    image = _sky()
    image[3, 4], image[5, 6], image[7, 8] = np.nan, np.inf, 51000
    read = read_frame_file(_write(tmp_path / "a.fits", image, wcs=_wcs()))
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
    path = _write(tmp_path / "a.fits", _sky(), header, _wcs())
    with pytest.raises(SourceError, match=rf"a\.fits has no {name}: none of .*{card}.* give it in the table"):
        read_frame(path)
    assert getattr(read_frame(path, values={name: "55555"}), name) == 55555
    with pytest.raises(SourceError, match=f"{name} is -1.0, it must be above 0"):
        read_frame(path, values={name: -1})
    with pytest.raises(SourceError, match=f"{name} is 'much', it must be a number"):
        read_frame(path, values={name: "much"})


def test_without_zero_point_magnitudes_stay_instrumental(tmp_path):
    path = _write(tmp_path / "a.fits", _sky(), {"GAIN": 1, "SATURATE": 1e4})
    with pytest.raises(SourceError, match="has no pixel_arcsec"):
        read_frame(path)
    frame = read_frame(path, values={"pixel_arcsec": 0.5})
    assert (frame.zero_point_mag, frame.wcs, frame.pixel_arcsec) == (None, None, 0.5)


def test_keywords_can_be_named_and_given_values_take_precedence(tmp_path):
    path = _write(tmp_path / "a.fits", _sky(), HEADER | {"MYGAIN": 9.0, "MYZP": 27.0})
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
        ({}, None),
    ],
)
def test_epochs_are_read_in_every_writing(tmp_path, card, mjd):
    path = _write(tmp_path / "a.fits", _sky(), card)
    assert read_frame_file(path, values=TOLD).epoch_mjd == mjd


def test_whole_numbers_tell_their_step(tmp_path):
    image = RNG.integers(900, 1100, (120, 120))
    plain = _write(tmp_path / "a.fits", image.astype(np.uint16))
    scaled = fits.PrimaryHDU(image.astype(np.float32))
    scaled.scale("int16", bscale=2.5, bzero=7)
    scaled.writeto(tmp_path / "b.fits")
    for path, step in ((plain, 1.0), (tmp_path / "b.fits", 2.5)):
        frame = read_frame(path, values=TOLD)
        assert frame.quantum_counts == step
        np.testing.assert_allclose(frame.pixels, image, atol=step / 2)


@pytest.mark.parametrize("kind", ["gz", "fz", "second"])
def test_packed_images_and_those_behind_an_empty_part_are_the_same(tmp_path, kind):
    image = RNG.integers(900, 1100, (120, 130)).astype(np.int16)
    path = tmp_path / f"a.fits{'' if kind == 'second' else '.' + kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(_write(tmp_path / "a.fits", image).read_bytes()))
    else:
        second = fits.CompImageHDU(image) if kind == "fz" else fits.ImageHDU(image)
        fits.HDUList([fits.PrimaryHDU(header=fits.Header(HEADER)), second]).writeto(path)
    frame = read_frame(path, values={"pixel_arcsec": 1})
    np.testing.assert_array_equal(frame.pixels, image)
    assert frame.gain_e_per_count == 1.7  # of the first header
    assert frame.quantum_counts == 1


def test_masks_and_variances_lie_beside(tmp_path):
    image = _sky()
    image[60, 60] = 5300
    variance = np.full(image.shape, 400, np.float32) + np.maximum(image - 300, 0) / 1.7
    bad = np.zeros(image.shape, np.uint8)
    bad[10:20, 30:40] = 4
    variance[50, 50], variance[51, 51] = 0, np.nan
    _write(tmp_path / "mask.fits", bad)
    _write(tmp_path / "variance.fits", variance)
    path = _write(tmp_path / "a.fits", image, wcs=_wcs())
    beside = {"mask": tmp_path / "mask.fits", "variance": tmp_path / "variance.fits"}
    frame = read_frame_file(path, **beside).frame
    expected = bad != 0
    expected[50, 50] = expected[51, 51] = True
    np.testing.assert_array_equal(frame.mask == Mask.DEFECT, expected)
    good = frame.mask == 0
    np.testing.assert_allclose(frame.variance()[good], variance[good], rtol=0.02)
    _write(tmp_path / "small.fits", bad[:-1])
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
    body = _write(tmp_path / "a.fits", _sky((5, 5))).read_bytes()
    for axis in (b"NAXIS1", b"NAXIS2"):
        body = body.replace(axis + b"  =                    5", axis + b"  = %20d" % side)
    path = tmp_path / ("b.fits.gz" if packed else "b.fits")
    path.write_bytes(gzip.compress(body) if packed else body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=rf"b\.fits.* declares .*{message}"):
        read_frame(path, values=TOLD)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the image would take 1.6 GB


def test_huge_tile_compressed_images_are_refused(tmp_path):
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(_sky((50, 50)))]).writeto(path)
    body = path.read_bytes()
    for axis in (b"ZNAXIS1", b"ZNAXIS2"):
        body = body.replace(axis + b" =                   50", axis + b" =                19999")
    path.write_bytes(body)
    with pytest.raises(SourceError, match="cannot hold them"):
        read_frame(path, values=TOLD)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz", "fits.fz"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.9])
def test_truncated_files_are_named(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    if suffix == "fits.fz":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(_sky())]).writeto(path)
    else:
        fits.PrimaryHDU(_sky()).writeto(path)
    body = path.read_bytes()
    path.write_bytes(body[: int(share * len(body))])
    with pytest.raises(SourceError, match=r"cut\.fits"):
        read_frame(path, values=TOLD)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((90, 90), np.nan, np.float32), "no usable pixel"),
        (np.full((90, 90), 7e4, np.float32), "no usable pixel"),
        (np.full((90, 90), 5.0, np.float32), "noise is 0.0"),
        (np.zeros((4, 30, 30), np.float32), "expected two dimensions"),
        (np.zeros(30, np.float32), "no image of two dimensions"),
    ],
)
def test_frames_without_a_sky_are_refused_by_name(tmp_path, image, message):
    with pytest.raises(SourceError, match=rf"a\.fits.*{message}"):
        read_frame(_write(tmp_path / "a.fits", image), values=TOLD)


def test_other_files_are_refused_by_name(tmp_path):
    (tmp_path / "a.fits").write_text("SIMPLE  = no")
    with pytest.raises(SourceError, match=r"a\.fits cannot be read as FITS"):
        read_frame(tmp_path / "a.fits")
    with pytest.raises(SourceError, match="does not exist"):
        read_frame(tmp_path / "b.fits")


@pytest.mark.parametrize(
    ("name", "told", "shape", "scale", "quantum"),
    [
        ("galsim_tpv", {"gain_e_per_count": 2.0}, (512, 512), 0.2626, 0.0),
        ("galsim_tnx", {}, (400, 400), 0.267, 1.0),
        ("astropy_m13", TOLD | {"pixel_arcsec": None}, (300, 300), 1.0, 1.0),
        ("sep_image", TOLD, (256, 256), 1.2, 2.92273835509),
        ("eso-midas_dss_test1", TOLD | {"pixel_arcsec": None}, (177, 177), 1.70, 1.0),
        ("galsim_sipsample", {"saturation_counts": 1000.0}, (256, 256), 1.223, 0.0),
        ("ccdproc_a8280271", TOLD | {"gain_e_per_count": None}, (520, 536), 1.2, 1.0),
        ("iraf_m51_dev_pix", TOLD, (512, 512), 1.2, 1.0),
    ],
)
def test_real_frames_are_read(shared_data, name, told, shape, scale, quantum):
    frame = read_frame(shared_data / "science_frames" / f"{name}.fits.gz", values=told)
    assert frame.shape == shape
    assert frame.pixel_arcsec == pytest.approx(scale, rel=0.01)
    assert frame.quantum_counts == quantum
    assert frame.background_rms.min() >= 0.29 * np.median(frame.background_rms)


def _pair(folder: Path, name: str = "", wcs=(None, None), shapes=((150, 200), (150, 200))) -> None:
    for side, own, shape in zip(("new", "ref"), wcs, shapes, strict=True):
        _write(folder / f"{side}{name}.fits", _sky(shape), wcs=own)


def _read_only_pair(folder: Path, told: str = ""):
    columns, values = ("new,reference" + f",{part}" for part in (told.partition("=")[::2] if told else ("x", "x")))
    if told:
        (folder / "pairs.csv").write_text(f"{columns}\n{values.replace('new,reference', 'new.fits,ref.fits')}\n")
    (files,) = read_pairs(folder)
    return read_pair(files, FrameKeywords(pixel_arcsec=("GAIN",)))


def test_pairs_are_found_by_their_names(tmp_path):
    for name in ("_a", "_b"):
        _pair(tmp_path, name)
    pairs = read_pairs(tmp_path)
    assert [(p.files["new"].name, p.files["reference"].name, p.visit) for p in pairs] == [
        ("new_a.fits", "ref_a.fits", 0),
        ("new_b.fits", "ref_b.fits", 1),
    ]
    assert pairs[0].identity != pairs[1].identity
    (tmp_path / "ref_b.fits").rename(tmp_path / "reference_b.fits")
    assert [p.files["reference"].name for p in read_pairs(tmp_path)] == ["ref_a.fits", "reference_b.fits"]
    (tmp_path / "reference_b.fits").unlink()
    assert [p.files["reference"].name for p in read_pairs(tmp_path)] == ["ref_a.fits"] * 2
    _write(tmp_path / "ref_c.fits", _sky())
    with pytest.raises(SourceError, match=r"new_b\.fits has no reference: no ref_b\.fits"):
        read_pairs(tmp_path)
    with pytest.raises(SourceError, match="holds 0 frames new"):
        read_pairs(tmp_path.parent)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_names_files_and_tells_facts(tmp_path, suffix):
    for name in ("n1", "n2", "tile"):
        _write(tmp_path / f"{name}.fits", _sky(), {"SATURATE": 9e4, "MJD-OBS": 59000.9})
    columns = {
        "new": ["n1.fits", "n2.fits"], "reference": ["tile.fits"] * 2, "pixel_arcsec": ["1.5"] * 2,
        "gain_e_per_count": ["2", "3"], "reference_gain_e_per_count": ["40", None],
        "night": ["N1", None], "visit": ["8", None], "detector": ["d7", None], "sky_cell": [None, "cell"],
    }  # fmt: skip
    if suffix == "csv":
        lines = [",".join(columns), *(",".join(v or "" for v in row) for row in zip(*columns.values(), strict=True))]
        (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    first, second = (read_pair(files) for files in read_pairs(tmp_path))
    gains = [(pair.new.gain_e_per_count, pair.reference.gain_e_per_count) for pair in (first, second)]
    assert gains == [(2.0, 40.0), (3.0, 3.0)]
    assert (first.night, first.visit, first.detector, first.epoch_mjd) == ("N1", 8, "d7", 59000.9)
    assert (second.night, second.visit, second.detector, second.sky_cell) == ("2459001", 1, "0", "cell")
    assert first.sky_cell.startswith("tile-")
    assert first.new.pixel_arcsec == 1.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("new,reference,gian\nnew.fits,ref.fits,2\n", "unknown columns gian; known are new, reference"),
        ("new,reference\nnew.fits,none.fits\n", r"row 0: reference .*none\.fits does not exist"),
        ("new,reference\nnew.fits,ref.fits\nnew.fits,\n", "row 1 names no reference frame"),
        ("new,reference,visit\nnew.fits,ref.fits,late\n", "row 0: visit is 'late'"),
        ("new,reference,aligned\nnew.fits,ref.fits,perhaps\n", "row 0: aligned is 'perhaps'"),
        ("new,reference\n", "has no rows"),
    ],
)
def test_wrong_tables_are_refused_by_row_and_column(tmp_path, text, message):
    _pair(tmp_path)
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    ("offset", "shapes", "told", "aligned"),
    [
        ((0.0, 0.0), ((150, 200), (150, 200)), "", True),
        ((0.2, 0.1), ((150, 200), (150, 200)), "", True),
        ((0.3, 0.0), ((150, 200), (150, 200)), "", False),
        ((30.0, -20.0), ((150, 200), (170, 240)), "", False),
        ((0.3, 0.0), ((150, 200), (150, 200)), "aligned=true", True),
        ((0.0, 0.0), ((150, 200), (150, 200)), "aligned=false", False),
    ],
)
def test_alignment_follows_the_wcs_unless_declared(tmp_path, offset, shapes, told, aligned):
    _pair(tmp_path, wcs=(_wcs(), _wcs(*offset)), shapes=shapes)
    assert _read_only_pair(tmp_path, told).aligned is aligned


def test_pairs_that_cannot_be_laid_on_each_other_are_refused(tmp_path):
    smaller = ((150, 200), (150, 190))
    for place, (wcs, shapes, told, message) in enumerate(
        [
            ((None, None), smaller, "", r"\(150, 200\) and .*\(150, 190\) cannot be aligned: not both have a WCS"),
            ((_wcs(), None), smaller, "", "not both have a WCS"),
            ((None, None), ((150, 200),) * 2, "aligned=false", "not both have a WCS"),
            ((_wcs(), _wcs()), smaller, "aligned=true", "declared aligned, their shapes differ"),
            ((_wcs(), _wcs(190.0)), ((150, 200),) * 2, "", "share 5%"),
            ((_wcs(), _wcs(ra=330.0)), ((150, 200),) * 2, "", "share 0%"),
        ]
    ):
        folder = tmp_path / str(place)
        folder.mkdir()
        _pair(folder, wcs=wcs, shapes=shapes)
        with pytest.raises(SourceError, match=message):
            _read_only_pair(folder, told)
    folder = tmp_path / "same"
    folder.mkdir()
    _pair(folder)
    assert _read_only_pair(folder).aligned


def test_a_given_psf_is_drawn_as_it_lies_in_its_file_and_an_even_one_is_refused(tmp_path):
    y, x = np.mgrid[-7:8, -7:8]
    image = 50 * np.exp(-(x**2 + y**2) / (2 * 1.8**2))
    files = {"new": tmp_path / "new.fits", "new_psf": _write(tmp_path / "psf.fits", image)}
    psf = read_psf(PairFiles(files), "new", (100, 120))
    np.testing.assert_allclose(psf.at(np.array([40.0]), np.array([30.0]))[0], image / image.sum(), atol=1e-6)
    assert read_psf(PairFiles(files), "reference", (100, 120)) is None
    files["new_psf"] = _write(tmp_path / "even.fits", image[:14, :14])
    with pytest.raises(SourceError, match=r"even\.fits.*odd"):
        read_psf(PairFiles(files), "new", (100, 120))


def test_a_given_difference_must_be_there_and_of_the_frames_shape(tmp_path):
    difference = np.arange(12.0).reshape(3, 4)
    difference[1, 2] = np.inf
    files = {"new": tmp_path / "new.fits"}
    with pytest.raises(SourceError, match="difference"):
        read_difference(PairFiles(files), (3, 4))
    files["difference"] = _write(tmp_path / "difference.fits", difference)
    read = read_difference(PairFiles(files), (3, 4))
    assert np.isnan(read[1, 2])
    assert np.isfinite(read).sum() == 11
    with pytest.raises(SourceError, match=r"\(3, 4\)"):
        read_difference(PairFiles(files), (4, 3))
