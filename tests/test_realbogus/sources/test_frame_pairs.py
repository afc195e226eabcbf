"""Pairs of frames in files: by name and by table, their alignment, PSF and difference."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realbogus.records import SourceError
from realbogus.sources.frame_keywords import FrameKeywords
from realbogus.sources.frame_pairs import read_difference, read_pair, read_psf
from realbogus.sources.pair_tables import PairFiles, read_pairs
from tests.fits_files import draw_sky, wcs_header, write_image


def _pair(folder: Path, name: str = "", wcs=(None, None), shapes=((150, 200), (150, 200))) -> None:
    for side, own, shape in zip(("new", "ref"), wcs, shapes, strict=True):
        write_image(folder / f"{side}{name}.fits", draw_sky(shape), wcs=own)


def _read_only_pair(folder: Path, column: str = ""):
    columns, values = ("new,reference" + f",{part}" for part in (column.partition("=")[::2] if column else ("x", "x")))
    if column:
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
    (tmp_path / "reference_b.fits").rename(tmp_path / "ref_b.fits.bz2")
    assert [p.files["reference"].name for p in read_pairs(tmp_path)] == ["ref_a.fits", "ref_b.fits.bz2"]
    (tmp_path / "ref_b.fits.bz2").unlink()
    assert [p.files["reference"].name for p in read_pairs(tmp_path)] == ["ref_a.fits"] * 2
    write_image(tmp_path / "ref_c.fits", draw_sky())
    assert [[file.name for file in pair.absent] for pair in read_pairs(tmp_path)] == [[], ["ref_b.fits"]]
    (tmp_path / "new_a.fits").unlink()
    with pytest.raises(SourceError, match=r"of 1 pairs none has all of its files; .*ref_b\.fits does not exist"):
        read_pairs(tmp_path)
    with pytest.raises(SourceError, match="holds 0 frames new"):
        read_pairs(tmp_path.parent)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_names_files_and_gives_quantities(tmp_path, suffix):
    for name in ("n1", "n2", "tile"):
        write_image(tmp_path / f"{name}.fits", draw_sky(), {"SATURATE": 9e4, "MJD-OBS": 59000.9})
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
        ("new,reference\nnew.fits,none.fits\n", r"none has all of its files; .*none\.fits does not exist"),
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


def test_an_absent_file_of_a_table_costs_its_own_pair(tmp_path):
    _pair(tmp_path)
    (tmp_path / "pairs.csv").write_text("new,reference,new_mask\nnew.fits,ref.fits,\nnew.fits,ref.fits,mask.fits\n")
    assert [[file.name for file in pair.absent] for pair in read_pairs(tmp_path)] == [[], ["mask.fits"]]


@pytest.mark.parametrize(
    ("offset", "shapes", "column", "aligned"),
    [
        ((0.0, 0.0), ((150, 200), (150, 200)), "", True),
        ((0.2, 0.1), ((150, 200), (150, 200)), "", True),
        ((0.3, 0.0), ((150, 200), (150, 200)), "", False),
        ((30.0, -20.0), ((150, 200), (170, 240)), "", False),
        ((0.3, 0.0), ((150, 200), (150, 200)), "aligned=true", True),
        ((0.0, 0.0), ((150, 200), (150, 200)), "aligned=false", False),
    ],
)
def test_alignment_follows_the_wcs_unless_declared(tmp_path, offset, shapes, column, aligned):
    _pair(tmp_path, wcs=(wcs_header(), wcs_header(*offset)), shapes=shapes)
    assert _read_only_pair(tmp_path, column).aligned is aligned


def test_pairs_that_cannot_be_aligned_are_refused(tmp_path):
    smaller = ((150, 200), (150, 190))
    for place, (wcs, shapes, column, message) in enumerate(
        [
            ((None, None), smaller, "", r"\(150, 200\) and .*\(150, 190\) cannot be aligned: not both have a WCS"),
            ((wcs_header(), None), smaller, "", "not both have a WCS"),
            ((None, None), ((150, 200),) * 2, "aligned=false", "not both have a WCS"),
            ((wcs_header(), wcs_header()), smaller, "aligned=true", "declared aligned, their shapes differ"),
            ((wcs_header(), wcs_header(190.0)), ((150, 200),) * 2, "", "share 5%"),
            ((wcs_header(), wcs_header(ra=330.0)), ((150, 200),) * 2, "", "share 0%"),
        ]
    ):
        folder = tmp_path / str(place)
        folder.mkdir()
        _pair(folder, wcs=wcs, shapes=shapes)
        with pytest.raises(SourceError, match=message):
            _read_only_pair(folder, column)
    folder = tmp_path / "same"
    folder.mkdir()
    _pair(folder)
    assert _read_only_pair(folder).aligned


def test_a_given_psf_is_drawn_as_in_its_file_and_an_even_one_is_refused(tmp_path):
    y, x = np.mgrid[-7:8, -7:8]
    image = 50 * np.exp(-(x**2 + y**2) / (2 * 1.8**2))
    files = {"new": tmp_path / "new.fits", "new_psf": write_image(tmp_path / "psf.fits", image)}
    psf = read_psf(PairFiles(files), "new", (100, 120))
    np.testing.assert_allclose(psf.at(np.array([40.0]), np.array([30.0]))[0], image / image.sum(), atol=1e-6)
    assert read_psf(PairFiles(files), "reference", (100, 120)) is None
    files["new_psf"] = write_image(tmp_path / "even.fits", image[:14, :14])
    with pytest.raises(SourceError, match=r"even\.fits.*odd"):
        read_psf(PairFiles(files), "new", (100, 120))


def test_a_given_difference_must_be_there_and_of_the_frames_shape(tmp_path):
    difference = np.arange(12.0).reshape(3, 4)
    difference[1, 2] = np.inf
    files = {"new": tmp_path / "new.fits"}
    with pytest.raises(SourceError, match="difference"):
        read_difference(PairFiles(files), (3, 4))
    files["difference"] = write_image(tmp_path / "difference.fits", difference)
    read = read_difference(PairFiles(files), (3, 4))
    assert np.isnan(read[1, 2])
    assert np.isfinite(read).sum() == 11
    with pytest.raises(SourceError, match=r"\(3, 4\)"):
        read_difference(PairFiles(files), (4, 3))
