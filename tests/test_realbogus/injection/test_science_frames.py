"""Real frames through the whole chain: two half exposures made of one, transients injected, subtracted, recovered."""

import csv
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

from realbogus.frames import Frame, Pair
from realbogus.injection.chip_visit import VisitSettings, WorkedVisit, work_visit
from realbogus.injection.inject import Hosts, InjectionSettings
from realbogus.psf.measure import PsfError
from realbogus.psf.stars import find_stars
from realbogus.records import SourceError
from realbogus.sources.frame_files import read_frame
from realbogus.sources.frame_pairs import read_pair
from realbogus.sources.pair_tables import read_pairs
from realbogus.subtraction.fit_inputs import find_unusable
from realbogus.subtraction.significance import estimate_variance

LOG = logging.getLogger(__name__)
STAR_FIELD = "galsim_tnx"
"""400 x 400 pixels of a crowded field, 30 s; its header has gain and saturation."""
MOVED_PX = 5, -3
"""Of the reference's pixels in x and y; its WCS knows."""
REALISATIONS = 6
SETTINGS = VisitSettings(injection=InjectionSettings(per_visit=20, slope_per_mag=0))
NO_HOSTS = Hosts(*[np.zeros(0)] * 7)


def split_exposure(frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Make two half exposures of one frame whose noise is independent.

    Half of the frame has a quarter of its variance V; noise of variance V / 4, added to one and taken off the other,
    makes it half and takes away what the two have in common.
    """
    variance = estimate_variance(frame, frame.signal(), find_unusable(frame))
    noise = np.sqrt(variance) / 2 * rng.standard_normal(frame.shape, dtype=np.float32)
    return frame.pixels / 2 + noise, frame.pixels / 2 - noise


def write_pair(source: Path, folder: Path, rng: np.random.Generator, **values: float) -> Pair:
    """Write halves of a frame as files, the reference smaller and moved, with a table, and read them as anyone's."""
    frame = read_frame(source, values=values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)  # cards as the observatory wrote them
        header = fits.getheader(source)
        header.remove("BSCALE", ignore_missing=True)
        header.remove("BZERO", ignore_missing=True)
        moved = header.copy()
        moved["CRPIX1"] = header["CRPIX1"] - MOVED_PX[0]
        new, reference = split_exposure(frame, rng)
        written = {"new": (new, header), "reference": (reference[: MOVED_PX[1], MOVED_PX[0] :], moved)}
        for name, (pixels, head) in written.items():
            fits.PrimaryHDU(pixels, head).writeto(folder / f"{name}.fits", "silentfix", overwrite=True)
    row = {name: f"{name}.fits" for name in written}
    row |= {"gain_e_per_count": str(frame.gain_e_per_count), "saturation_counts": str(frame.saturation_counts / 2)}
    with (folder / "pairs.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerow(row)
    (files,) = read_pairs(folder)
    return read_pair(files)


@pytest.fixture(scope="module")
def worked(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[WorkedVisit]:
    folder = tmp_path_factory.mktemp("halves")
    visits = []
    for number in range(REALISATIONS):
        rng = np.random.default_rng(number)
        pair = write_pair(shared_data / "science_frames" / f"{STAR_FIELD}.fits.gz", folder, rng)
        visits.append(work_visit(pair, NO_HOSTS, SETTINGS, rng))
    return visits


@pytest.fixture(scope="module")
def recovered(worked: list[WorkedVisit]) -> dict[str, np.ndarray]:
    """Of each injection on pixels with data: S/N by the noise of the difference there, found, measured over true."""
    rows = []
    for visit in worked:
        table = visit.table.to_pandas()
        for row in table[table["found"].notna()].itertuples():
            place = int(np.rint(row.injected_y_px)), int(np.rint(row.injected_x_px))
            if np.isfinite(visit.difference.snr[place]):
                snr = row.injected_flux_counts / visit.difference.flux_error[place]
                rows.append((snr, row.found, row.flux_counts / row.injected_flux_counts))
    snr, found, ratio = np.array(rows, float).T
    return {"snr": snr, "found": found > 0, "ratio": ratio}


def test_bright_injections_are_recovered_and_faint_ones_are_not(recovered):
    bright, faint = recovered["snr"] > 7, recovered["snr"] < 3
    for low, high in ((0, 3), (3, 5), (5, 7), (7, 10), (10, np.inf)):
        inside = (recovered["snr"] >= low) & (recovered["snr"] < high)
        LOG.info("S/N %g to %g: %d of %d found", low, high, recovered["found"][inside].sum(), inside.sum())
    assert bright.sum() > 30
    assert faint.sum() > 3
    assert recovered["found"][bright].mean() >= 0.93
    assert recovered["found"][faint].mean() <= 0.2


def test_fluxes_of_the_recovered_are_those_injected(recovered):
    bright = recovered["found"] & (recovered["snr"] > 15)
    assert np.median(recovered["ratio"][bright]) == pytest.approx(1, abs=0.03)


def test_empty_sky_of_a_real_frame_has_unit_noise(worked):
    scatter = []
    for visit in worked:
        new = visit.difference.pair.new
        lit = (np.abs(new.signal()) > 5 * new.background_rms) | (visit.injected > 0)
        empty = ~ndimage.maximum_filter(lit, 25) & np.isfinite(visit.difference.snr)
        scatter.append(visit.difference.snr[empty].std())
    assert np.mean(scatter) == pytest.approx(1, abs=0.04)


def test_the_moved_reference_is_brought_back_by_its_wcs(worked):
    """What is beyond the moved reference's edges has no data, and only that."""
    lost = np.isnan(worked[0].difference.pair.reference.pixels)
    assert lost[:, : MOVED_PX[0]].all()
    assert lost[MOVED_PX[1] :].all()
    assert not lost[: MOVED_PX[1], MOVED_PX[0] :].any()


@pytest.mark.parametrize(
    ("name", "values", "missing"),
    [
        ("galsim_tpv", {}, "gain_e_per_count"),
        ("ccdproc_a8280271", {}, "saturation_counts"),
        ("iraf_m51_dev_pix", {"gain_e_per_count": 1, "saturation_counts": 3e4}, "pixel_arcsec"),
    ],
)
def test_a_frame_that_lacks_a_quantity_is_refused_by_what_is_missing(shared_data, name, values, missing):
    with pytest.raises(SourceError, match=f"{name}.* has no {missing}.*give it in the table"):
        read_frame(shared_data / "science_frames" / f"{name}.fits.gz", values=values)


def test_a_frame_of_galaxies_is_refused_for_its_few_stars(shared_data, tmp_path):
    source = shared_data / "science_frames" / "galsim_tpv.fits.gz"
    pair = write_pair(source, tmp_path, np.random.default_rng(1), gain_e_per_count=2.6)  # its card ARCONG
    assert len(find_stars(pair.new)) > 10
    with pytest.raises(PsfError, match=r"\d usable stars .* 12 are needed"):
        work_visit(pair, NO_HOSTS, SETTINGS, np.random.default_rng(2))
