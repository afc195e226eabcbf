"""What tests of flows share: a small archive of images with a table of labels, and one server for all runs."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import prepare

CLASSES = ("elliptical", "edge_on", "clockwise")


def galaxy_picture(number: int, side: int = 64) -> Image.Image:
    """A noisy blob: round for even numbers, elongated for odd ones."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    squeeze = 1.0 if number % 2 == 0 else 3.0
    blob = 180 * np.exp(-(x**2 + (squeeze * y) ** 2) / (2 * (side / 8) ** 2))
    pixels = np.clip(blob[..., None] + rng.normal(20, 6, (side, side, 3)), 1, 255)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Give a function that makes a folder of images and a GZ1 majority table for them."""

    def make(count: int, first: int = 0, missing: int = 0, folder: str = "images") -> tuple[Path, Path]:
        images, table = tmp_path / folder, tmp_path / f"{folder}.csv"
        images.mkdir(exist_ok=True)
        ids = [str(587722952767439450 + number) for number in range(first, first + count)]
        for number, sample_id in enumerate(ids[: count - missing], start=first):
            galaxy_picture(number).save(images / f"{sample_id}.jpeg", quality=95)
        with table.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["OBJID", "gz1_majority"])
            writer.writerows((sample_id, CLASSES[number % 2]) for number, sample_id in enumerate(ids, start=first))
        return images, table

    return make


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow as a workspace begins with: laying one out takes seconds, and a copy is corrected."""
    workspace = Workspace(tmp_path_factory.mktemp("mlflow") / "workspace")
    prepare(workspace)
    return workspace.root / "mlflow.db"


@pytest.fixture
def flows_here(prefect_api: str, workspace: Workspace, mlflow_database: Path) -> Workspace:
    """A temporary workspace with MLflow's database, whose flow runs go to the suite's one Prefect server."""
    workspace.root.mkdir()
    shutil.copy(mlflow_database, workspace.root)
    return workspace


def write_triplets(
    folder: Path, labels: np.ndarray, seed: int = 0, prefix: str = "", side: int = 29, noise: float = 4.0
) -> Path:
    """Write a folder of triplets for the source of that name: a star in new and difference is real, a step is bogus.

    Ids are ``c0000`` on after the prefix, two neighbours have one sky cell. `labels` are written whatever the stamps
    show, which goes by turns: even ones are real.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - side // 2
    star, step = np.exp(-(x**2 + y**2) / 5), np.where(x > 0, 0.4, -0.4) * (np.abs(y) < 4) * (np.abs(x) < 6)
    stamps = rng.normal(100, noise, (len(labels), side, side, 3))
    heights = rng.uniform(20, 200, len(labels))
    for number, stamp in enumerate(stamps):
        shape = heights[number] * (star if number % 2 == 0 else step)
        stamp[..., 0] += shape
        stamp[..., 2] += shape - 100
    folder.mkdir(parents=True)
    np.save(folder / "stamps.npy", stamps.astype(np.float32))
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "label", "objectId"])
        rows = (
            f"{prefix}c{number:04d},{label},{prefix}o{number // 2:04d}".split(",")
            for number, label in enumerate(labels)
        )
        writer.writerows(rows)
    return folder
