"""What the flows of the drill read: images, a table, triplets, a night in the inbox, and a cutout service."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.inbox.deliveries import MARKER
from tests.test_flows.conftest import CLASSES, galaxy_picture, write_triplets

NIGHT = "2026-11-02"
CUTOUTS = 240
"""Enough for a Dask cluster (`tasks.runtime.cluster.ITEMS_WORTH_A_CLUSTER`)."""
GALAXIES, CANDIDATES, OF_NIGHT = 90, 240, 60
SIDE = 64
OTHER_SCHEME = """name = "shape"
description = "Round against flat."
columns = ["gz1_majority"]
grammar = "text"
classes = ["round", "flat"]
rules = [{label = "round", when = {text = "elliptical"}}, {label = "flat", when = {text = "edge_on"}}]
"""


@dataclass(frozen=True)
class Inputs:
    """Files of one folder."""

    folder: Path

    @property
    def images(self) -> Path:
        """Images of `GALAXIES` galaxies, named by their ids."""
        return self.folder / "images"

    @property
    def table(self) -> Path:
        """Their ids, places and classes."""
        return self.folder / "classes.csv"

    @property
    def scheme(self) -> Path:
        """Another scheme of the same table."""
        return self.folder / "shape.toml"

    @property
    def survey(self) -> Path:
        """Triplets of `CANDIDATES` candidates."""
        return self.folder / "survey"

    @property
    def pictures(self) -> Path:
        """Pictures of the cutout service, at the places of `positions`."""
        return self.folder / "sky"

    @property
    def positions(self) -> Path:
        """Places and classes of `CUTOUTS` objects."""
        return self.folder / "positions.csv"


def write_inputs(folder: Path) -> Inputs:
    """Write all of it, unless it is there."""
    inputs = Inputs(folder)
    if inputs.positions.exists():  # the last that is written
        return inputs
    folder.mkdir(parents=True, exist_ok=True)
    ids = [str(587722952767439450 + number) for number in range(GALAXIES)]
    write_pictures(inputs.images, [f"{name}.jpeg" for name in ids])
    rows = [(name, number * 3.5, 10.0, CLASSES[number % 2]) for number, name in enumerate(ids)]
    _write_csv(inputs.table, ("OBJID", "ra", "dec", "gz1_majority"), rows)
    inputs.scheme.write_text(OTHER_SCHEME, encoding="utf-8")
    write_triplets(inputs.survey, 1 - np.arange(CANDIDATES) % 2, prefix="s")
    write_sky(inputs, CUTOUTS)
    return inputs


def write_sky(inputs: Inputs, count: int) -> None:
    """Write the pictures and places of a cutout service."""
    rng = np.random.default_rng(1)
    names = [f"g{number:04d}.jpg" for number in range(count)]
    write_pictures(inputs.pictures, names)
    places = [(round(rng.uniform(0, 360), 5), round(rng.uniform(-60, 60), 5)) for _ in names]
    classes = [("elliptical", "spiral")[number % 2] for number in range(count)]
    rows = [(name, *place, label) for name, place, label in zip(names, places, classes, strict=True)]
    _write_csv(inputs.positions, ("file", "ra_deg", "dec_deg", "gz1_class"), rows)


def deliver_night(inbox: Path) -> None:
    """Put a night of triplets into an inbox."""
    visit = inbox / NIGHT / "v1"
    write_triplets(visit, 1 - np.arange(OF_NIGHT) % 2, seed=2, prefix="n")
    (visit / MARKER).touch()


def write_pictures(folder: Path, names: list[str]) -> None:
    """Write a picture of a galaxy a name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        galaxy_picture(number, SIDE).save(folder / name, "JPEG", quality=95)


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
