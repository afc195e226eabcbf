"""A pair that a library cannot use is one row with its reason and its file, at whatever stage the library raises."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sep
from astropy.io import fits

from realbogus.injection.chip_visit import VisitSettings
from realbogus.injection.inject import InjectionSettings
from realbogus.psf import extraction
from realbogus.sources.pair_tables import PairFiles
from realbogus.subtraction.subtract import SubtractionSettings
from tasks.candidates.building.collect import PairVisits
from tasks.candidates.building.staged_rows import padded_fractions
from tests.fits_files import wcs_header
from tests.star_field import SHAPE, Optics, draw_light, expose, scatter_stars

CARDS = {"GAIN": 1.5, "SATURATE": 60000.0, "MAGZP": 25.0, "MJD-OBS": 59000.75, "CCDID": 4}
SIP = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
LOOKUP = {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1.0", "CPDIS2": "LOOKUP", "DP2": "EXTVER: 2.0"}


@dataclass(frozen=True)
class Broken:
    """Changes of a good pair that break it, and the reason and words that its row must have."""

    reason: str
    words: str
    cards: dict[str, Any] = field(default_factory=dict)
    pixels: Callable[[np.ndarray], np.ndarray] | None = None
    file: Callable[[bytes], bytes] | None = None
    planes: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    frame: str = "new"
    engine: Any = "alard-lupton"


def with_block(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that gives an image a block of huge, different values."""

    def change(image: np.ndarray) -> np.ndarray:
        image[100:130, 100:130] = value * np.linspace(1, 2, 900).reshape(30, 30)
        return image

    return change


def name_as_zero(body: bytes) -> bytes:
    """Return a file whose zero of the values is a word."""
    return body.replace(b"MAGZP   =                 25.0", b"BZERO   =               'oops'")


BROKEN = {
    "open: no FITS": Broken("unreadable_frame", "cannot be read as FITS", file=lambda body: b"\0" * len(body)),
    "open: cut": Broken("unreadable_frame", "cannot hold them", file=lambda body: body[:9000]),
    "open: scale": Broken("unreadable_frame", "ufunc", file=name_as_zero),
    "open: compressed": Broken("unreadable_frame", "FITS", file=lambda body: body, planes={}),
    "wcs: MemoryError": Broken("bad_wcs", "NAXES was not set", LOOKUP),
    "wcs: KeyError": Broken("bad_wcs", "DP1", {"CPDIS1": "LOOKUP"}, frame="reference"),
    "wcs: TypeError": Broken("bad_wcs", "not supported", SIP | {"A_ORDER": "x", "B_ORDER": 2}),
    "wcs: singular": Broken("bad_wcs", "singular", {"CDELT1": 0.0}, frame="reference"),
    "overlap": Broken("no_overlap", "share 0%", {"CRVAL2": -40.0}, frame="reference"),
    "background": Broken("mostly_padding", "100.0% of the frame", pixels=np.zeros_like),
    "detection: overflow": Broken("not_extracted", "no finite position", {"SATURATE": 1e38}, with_block(1.5e38)),
    "injection": Broken("not_injected", "lam value too large", {"GAIN": 1e30}),
    "psf": Broken("no_psf", "the reference frame: 0 usable stars", pixels=lambda i: i * 0 + noise(), frame="reference"),
    "mask": Broken("unreadable_frame", "bad, though", planes={"new_mask": lambda i: np.ones(i.shape, np.uint8)}),
    "difference: no data": Broken(
        "not_subtracted", "0.0% usable", planes={"difference": lambda i: i * np.nan}, engine="precomputed"
    ),
    "difference: constant": Broken(
        "not_subtracted", "must have noise", planes={"difference": lambda i: i * 0 + 3}, engine="precomputed"
    ),
}


def noise() -> np.ndarray:
    return np.random.default_rng(8).normal(300, 14, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def good_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``new.fits`` and ``reference.fits`` that can be subtracted."""
    folder = tmp_path_factory.mktemp("pair")
    rng = np.random.default_rng(4)
    stars = scatter_stars(rng, 90, least=2e3)
    for name, width in (("new", 3.4), ("reference", 2.8)):
        frame = expose(draw_light(SHAPE, *stars, Optics(width)), 300.0, rng, gain=1.5, saturation=6e4)
        image = fits.PrimaryHDU(frame.pixels)
        image.header.update(CARDS | dict(wcs_header()))
        image.writeto(folder / f"{name}.fits")
    return folder


def collect(folder: Path, engine: Any = "alard-lupton", planes: tuple[str, ...] = ()) -> tuple[list[dict], Any]:
    files = {name: folder / f"{name}.fits" for name in ("new", "reference", *planes)}
    work = VisitSettings(subtraction=SubtractionSettings(engine=engine), injection=InjectionSettings(per_visit=6))
    batch = PairVisits(work, 1, None).collect(PairFiles(files))
    return batch.table.to_pylist(), batch


def break_pair(broken: Broken, source: Path, folder: Path) -> None:
    for name in ("new", "reference"):
        shutil.copy(source / f"{name}.fits", folder)
    path = folder / f"{broken.frame}.fits"
    with fits.open(path) as hdus:
        image = hdus[0].data.astype(np.float32)
        header = hdus[0].header.copy()
    header.update(broken.cards)
    fits.writeto(path, image if broken.pixels is None else broken.pixels(image.copy()), header, overwrite=True)
    for name, change in broken.planes.items():
        fits.writeto(folder / f"{name}.fits", change(image))
    if broken.file is not None:
        path.write_bytes(broken.file(path.read_bytes()))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the overflows that some of the images are made for
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pair_is_one_row_with_reason_and_file(name: str, good_pair: Path, tmp_path: Path) -> None:
    broken = BROKEN[name]
    break_pair(broken, good_pair, tmp_path)
    if name == "open: compressed":
        corrupt_tiles(tmp_path / "new.fits")
    limits = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    (row,), _ = collect(tmp_path, broken.engine, tuple(broken.planes))
    assert (row["status"], row["kind"], row["reason"]) == ("rejected", "visit", broken.reason)
    fault = json.loads(row["parameters"])["fault"]
    assert broken.words in fault
    assert str(tmp_path) in fault
    assert (sep.get_extract_pixstack(), sep.get_sub_object_limit()) == limits


def corrupt_tiles(path: Path) -> None:
    """Replace an image by a tile-compressed one in which every fiftieth byte of the tiles is another."""
    image = fits.getdata(path)
    path.unlink()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(path)
    body = np.frombuffer(path.read_bytes(), np.uint8).copy()
    body[20_000::50] ^= 0x5A
    path.write_bytes(body.tobytes())


def test_a_good_pair_is_worked_on(good_pair: Path) -> None:
    rows, batch = collect(good_pair)
    assert {row["kind"] for row in rows} <= {"random_injection", "detection"}
    assert sum(row["status"] == "stored" for row in rows) == len(batch.pixels) > 0
    assert {row["parameters"] for row in rows} == {"{}"}
    assert padded_fractions(batch.table) == {"new": 0.0, "reference": 0.0}


@pytest.mark.parametrize("value", [0.0, -999.0, 60000.0])
def test_padding_gives_the_rows_of_nan_in_its_place(value: float, good_pair: Path, tmp_path: Path) -> None:
    found = {}
    for name, fill in (("padded", value), ("empty", np.nan)):
        folder = tmp_path / name
        folder.mkdir()
        change = Broken("", "", pixels=lambda image, fill=fill: pad(image, fill), frame="reference")  # type: ignore[misc]
        break_pair(change, good_pair, folder)
        found[name] = collect(folder)
    reasons = {name: sorted(str(row["reason"]) for row in rows) for name, (rows, _) in found.items()}
    fluxes = {name: {row["kind"] for row in rows} for name, (rows, _) in found.items()}
    assert reasons["padded"].count("None") == pytest.approx(reasons["empty"].count("None"), abs=3)
    assert fluxes["padded"] == fluxes["empty"]
    share = np.mean(np.isnan(pad(np.ones(SHAPE, np.float32), np.nan)))
    assert padded_fractions(found["padded"][1].table) == {"new": 0.0, "reference": pytest.approx(share, abs=1e-3)}
    assert any("is padding" in note for note in found["padded"][1].reading.notes)


def pad(image: np.ndarray, value: float) -> np.ndarray:
    image[:, :90] = image[380:] = value
    return image


def test_limits_of_sep_are_raised_before_a_frame_is_given_up(good_pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits that a plain field exceeds, the frame is worked on as with sep's own."""
    expected, _ = collect(good_pair)
    before = sep.get_extract_pixstack()
    sep.set_extract_pixstack(300)
    try:
        rows, _ = collect(good_pair)
        assert sep.get_extract_pixstack() == 300
        monkeypatch.setattr(extraction, "PIXEL_BUFFER", 400)
        ((fault,), _) = collect(good_pair)
    finally:
        sep.set_extract_pixstack(before)
    keys = ("id", "kind", "reason", "pixel_sha256")
    assert [[row[key] for key in keys] for row in rows] == [[row[key] for key in keys] for row in expected]
    assert fault["reason"] == "not_extracted"
    assert "internal pixel buffer full" in json.loads(fault["parameters"])["fault"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the widths of such sources are not defined
def test_parts_of_a_blend_are_more_before_a_frame_is_given_up(
    good_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variance far below the noise makes the whole sky one blend of more parts than sep's own limit."""
    break_pair(Broken("", "", planes={"new_variance": lambda image: image * 0 + 1}), good_pair, tmp_path)
    (row,), _ = collect(tmp_path, planes=("new_variance",))
    assert row["reason"] == "no_psf"  # the sources were extracted
    monkeypatch.setattr(extraction, "SUB_OBJECTS", sep.get_sub_object_limit())
    (row,), _ = collect(tmp_path, planes=("new_variance",))
    assert row["reason"] == "not_extracted"
    assert "sep cannot extract sources (object deblending overflow)" in json.loads(row["parameters"])["fault"]


def test_a_pair_whose_file_cannot_be_opened_is_one_row(good_pair: Path, tmp_path: Path) -> None:
    shutil.copy(good_pair / "new.fits", tmp_path)
    (tmp_path / "reference.fits").mkdir()
    (row,), _ = collect(tmp_path)
    assert row["reason"] == "unreadable_frame"
    assert "reference.fits" in json.loads(row["parameters"])["fault"]


@pytest.mark.parametrize("name", ["new", "reference", "new_mask", "new_variance", "new_psf", "catalog", "difference"])
def test_a_pair_with_an_absent_file_is_one_row(name: str, good_pair: Path, tmp_path: Path) -> None:
    files = {frame: good_pair / f"{frame}.fits" for frame in ("new", "reference")} | {name: tmp_path / f"{name}.fits"}
    engine: Any = "precomputed" if name == "difference" else "alard-lupton"
    work = VisitSettings(subtraction=SubtractionSettings(engine=engine), injection=InjectionSettings(per_visit=6))
    (row,) = PairVisits(work, 1, None).collect(PairFiles(files)).table.to_pylist()
    assert row["reason"] == "unreadable_frame"
    assert f"{name}.fits" in json.loads(row["parameters"])["fault"]


def test_errors_of_our_own_code_and_of_the_machine_end_the_build(good_pair: Path) -> None:
    files = {name: good_pair / f"{name}.fits" for name in ("new", "reference")}
    for error in (MemoryError, KeyboardInterrupt, TypeError):
        broken = replace(PairVisits(VisitSettings(), 1, None), keywords=Raising(error))  # type: ignore[arg-type]
        with pytest.raises(error):
            broken.collect(PairFiles(files))


@dataclass(frozen=True)
class Raising:
    """Keywords that cannot be used, as after an error of ours."""

    error: type[BaseException]

    def __getattr__(self, name: str) -> Any:
        raise self.error(name)


def test_notes_on_the_frames_of_a_failed_pair_are_kept(good_pair, tmp_path):
    """Under a variance that is too large no star is bright enough for the PSF: the note on it says why."""
    folder = shutil.copytree(good_pair, tmp_path / "pair")
    fits.PrimaryHDU(np.full(SHAPE, 1e8, np.float32)).writeto(folder / "new_variance.fits")
    (row,), batch = collect(folder, planes=("new_variance",))
    assert row["reason"] == "no_psf"
    (note,) = batch.reading.notes
    assert "new_variance.fits has the median 1e+08 on the sky" in note
