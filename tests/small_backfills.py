"""A small archive of four kinds of galaxies, schemes of two of the kinds, and backfills of them without Prefect."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.galaxies.building.backfill import (
    Backfill,
    BackfillRequest,
    draft_backfill,
    outline_backfill,
    summarise_backfill,
    truth_of_sky,
)
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.galaxies.building.collect import collect_batch, unfinished_batches
from tasks.galaxies.building.harvest import gather_harvest
from tasks.galaxies.building.plan import GalaxyPlan, plan_galaxies, write_plan
from tasks.galaxies.building.sources import find_catalog, open_source
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.publish import publish_build
from tasks.store.dataset import Dataset
from tests.small_galaxies import build_request

KINDS = ("elliptical", "clockwise", "anticlockwise", "edge_on")
DATASET = "four"


def write_archive(folder: Path, count: int, places: Mapping[int, tuple[float, float]] | None = None) -> Path:
    """Write noise images ``g000.png`` on, kinds in turn, and their table; a degree apart but for `places`."""
    (folder / "images").mkdir(parents=True)
    rows = ["id,ra,dec,gz1_majority"]
    for number in range(count):
        pixels = np.random.default_rng(number).integers(1, 255, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"g{number:03d}.png")
        ra, dec = (places or {}).get(number, (number % 360, number // 360))
        rows.append(f"g{number:03d},{ra},{dec},{KINDS[number % len(KINDS)]}")
    table = folder / "kinds.csv"
    table.write_text("\n".join([*rows, ""]))
    return table


def write_scheme(folder: Path, name: str, kinds: tuple[str, ...], **texts: str) -> str:
    """Write a scheme of some kinds that leaves out the others; `texts` replace what a class's rule reads."""
    rules = ", ".join(f'{{label = "{kind}", when = {{text = "{texts.get(kind, kind)}"}}}}' for kind in kinds)
    others = ", ".join(f'{{why = "{kind}", when = {{text = "{kind}"}}}}' for kind in KINDS if kind not in kinds)
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ndescription = ""\ncolumns = ["gz1_majority"]\ngrammar = "text"\n'
        f"classes = {list(kinds)}\nrules = [{rules}]\nexclude = [{others}]\n".replace("'", '"')
    )
    return str(path)


def archive_request(table: Path, scheme: str, **changes: Any) -> GalaxyBuildRequest:
    """The request of a build of an archive of `write_archive`."""
    images = str(table.parent / "images")
    given = {"dataset": DATASET, "catalog": str(table), "source": "archive", "images": images, "size_px": 16}
    return build_request(**given | {"scheme": scheme} | changes)


def build(workspace: Workspace, request: GalaxyBuildRequest) -> Dataset:
    """Build as the flow does."""
    plan = plan_galaxies(workspace, request, find_catalog(workspace, request))
    collect_and_publish(workspace, plan, None)
    return Dataset.open(workspace, request.dataset)


def collect_and_publish(workspace: Workspace, plan: GalaxyPlan, truth: Path | None) -> None:
    with open_source(workspace, plan) as source:
        for batch in unfinished_batches(plan, source, 1):
            collect_batch(batch)
    publish_build.fn(workspace, partial(gather_harvest, workspace, plan, truth), InProcess(), 0)


def plan_for(workspace: Workspace, scheme: str, catalog: str | None = None, dataset: str = DATASET) -> Backfill:
    return draft_backfill(workspace, BackfillRequest(dataset=dataset, scheme=scheme, catalog=catalog))


def backfill(workspace: Workspace, scheme: str, catalog: str | None = None) -> dict[str, Any]:
    """Backfill as the flow does and return its summary."""
    planned = plan_for(workspace, scheme, catalog)
    outline = outline_backfill(planned)
    if not planned.is_done:
        collect_and_publish(workspace, write_plan(workspace, planned.draft), truth_of_sky(workspace, planned))
    return summarise_backfill(planned, Dataset.open(workspace, DATASET), outline)


def backfill_killed_at(workspace: Workspace, scheme: str, step: int) -> None:
    """Backfill in this process, which is killed before the file or folder number `step` of the dataset gets its name.

    For a process of its own.
    """
    with _killed_before(step, workspace.datasets):
        backfill(workspace, scheme)


@contextmanager
def _killed_before(step: int, folder: Path) -> Iterator[None]:
    left = [step]

    def counted(rename: Any) -> Any:
        def call(source: Any, target: Any, **more: Any) -> None:
            if Path(target).is_relative_to(folder):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            rename(source, target, **more)

        return call

    original = os.rename, os.replace
    os.rename, os.replace = map(counted, original)  # type: ignore[assignment]
    try:
        yield
    finally:
        os.rename, os.replace = original
