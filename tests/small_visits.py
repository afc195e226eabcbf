"""Visits in an inbox: star fields or simulated chips as pairs of FITS files, triplets, and a random network."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from realbogus.frames import Pair
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.inbox.deliveries import MARKER
from tasks.learning.models.saved_models import save_model
from tasks.runtime.workspace import Workspace
from tasks.tracking.mlflow_runs import open_run
from tasks.training.training_task import model_card
from tests.fits_files import wcs_header
from tests.small_candidates import SIDE, draw_stamps, publish_candidates
from tests.star_field import SHAPE, Optics, draw_light, expose, scatter_stars

NIGHT = "2026-11-28"
EPOCH_MJD = 61372.5
DETECTOR = "4"
CARDS: dict[str, Any] = {"GAIN": 1.5, "SATURATE": 60000.0, "MAGZP": 25.0, "CCDID": DETECTOR}


def register_random_model(
    workspace: Workspace, folder: Path, name: str, network: Any = "first", detectors: Sequence[str] = (DETECTOR,)
) -> str:
    """Register a network with random weights that takes every candidate for real, of a dataset of these detectors."""
    count = 40
    real = [row % 2 == 0 for row in range(count)]
    publish_candidates(
        workspace,
        f"{name}-data",
        ["real" if flag else "bogus" for flag in real],
        [f"cell {row // 4}" for row in range(count)],
        ["train"] * 20 + ["validation"] * 20,
        columns={"detector": [detectors[row % len(detectors)] for row in range(count)]},
    )
    request = CandidateTrainRequest(dataset=f"{name}-data", network=network, profile="fixed")
    training = open_candidate_training(workspace, request)
    model = training.model(training.fit_spec(training.part("train")).build("float32").get_weights())
    points = {"tpr90": {"threshold": -1e3}, "tpr99": {"threshold": -2e3}}
    chosen = {"temperature": 1.0, "training_real_share": 0.5, "operating_points": points}
    save_model(model, folder, {**model_card(training), **chosen})
    options: dict[str, Any] = {"problem": "realbogus", "params": {}, "tags": {}, "dataset": None}
    with open_run(workspace, run_name=name, **options) as run:
        return run.log_model(model, folder, name, np.zeros((1, SIDE, SIDE, 3), np.float32)).uri


def sky_position(x: float, y: float) -> tuple[float, float]:
    """Return the position, deg, of a pixel of the frames."""
    ra_deg, dec_deg = WCS(wcs_header()).all_pix2world(x, y, 0)
    return float(ra_deg), float(dec_deg)


def write_visit(
    folder: Path,
    sources: Sequence[tuple[float, float]],
    *,
    epoch_mjd: float = EPOCH_MJD,
    seed: int = 0,
    cards: Mapping[str, Any] | None = None,
    marked: bool = True,
) -> Path:
    """Write a pair of frames of one star field, the new one with sources at pixels (x, y); return the folder."""
    rng = np.random.default_rng(4)
    stars = scatter_stars(rng, 90, least=2e3)
    noise = np.random.default_rng([seed, 9])
    x, y = np.array(sources, float).reshape(-1, 2).T
    folder.mkdir(parents=True)
    for name, width, more in (("new1", 3.4, True), ("ref1", 2.8, False)):
        optics = Optics(width)
        light = draw_light(SHAPE, *stars, optics)
        if more:
            light = light + draw_light(SHAPE, x, y, np.full(len(x), 9e3), optics)
        frame = expose(light, 300.0, noise, gain=1.5, saturation=6e4)
        image = fits.PrimaryHDU(frame.pixels)
        image.header.update(CARDS | {"MJD-OBS": epoch_mjd} | dict(cards or {}) | dict(wcs_header()))
        image.writeto(folder / f"{name}.fits")
    if marked:
        (folder / MARKER).touch()
    return folder


def write_simulated(folder: Path, pair: Pair, epoch_mjd: float) -> Path:
    """Write a simulated pair, beside and then renamed; return the folder."""
    unfinished = folder.with_name(f"{folder.name}.part")
    unfinished.mkdir(parents=True)
    for name, frame in (("new1", pair.new), ("ref1", pair.reference)):
        image = fits.PrimaryHDU(frame.pixels)
        assert frame.wcs is not None
        image.header.update(dict(frame.wcs.to_header()))
        image.header["GAIN"], image.header["SATURATE"] = frame.gain_e_per_count, frame.saturation_counts
        image.header["MAGZP"], image.header["MJD-OBS"], image.header["CCDID"] = (
            frame.zero_point_mag,
            epoch_mjd,
            pair.detector,
        )
        image.writeto(unfinished / f"{name}.fits")
    return unfinished.rename(folder)


def write_records(folder: Path, ids: Sequence[str], places: Sequence[tuple[float, float]], **columns: Any) -> Path:
    """Write triplets with their table, (ra, dec) deg each."""
    folder.mkdir(parents=True)
    np.save(folder / "stamps.npy", draw_stamps([True] * len(ids), seed=len(ids)))
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "ra", "dec", *columns])
        rows = zip(ids, places, *columns.values(), strict=True)
        writer.writerows([name, *place, *more] for name, place, *more in rows)
    (folder / MARKER).touch()
    return folder
