"""Draw the pictures of pages in docs/: ``python -m tests.pictures_of_pages``, in some ten minutes on two cores.

They show a small simulated survey that is built, trained on and scored, or a copy of that in ``--workspace``. On the
home page the nights of a training set and the decisions are made up.
"""

import argparse
import base64
import io
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from realbogus.records import REAL
from tasks.decisions.ledger import append
from tasks.home.app import create_app as home_service
from tasks.labelling.app import create_app as labelling_service
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.samples import Samples
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.dataset import Dataset
from tests.browser import Browser, headless
from tests.served_pages import served
from tests.small_home import NIGHTS, decision, end_night

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
WIDTH_PX = 1280
MARGIN_PX = 24
MOST_BYTES = 200_000
RUNS = (
    ("build-realbogus-dataset", "dataset=transients", "chips=8", "visits=2"),
    ("train-realbogus", "dataset=transients", "network=simple"),
    ("make-night", "dataset=transients", "count=2000"),
    ("score-night", "night=2026-11-28", "max_candidates=12"),
    ("score-night", "path=transients"),
)
SHOWN_ROOT = "~/workspace"


def main() -> None:
    """Draw every picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures_of_pages", description=__doc__)
    parser.add_argument("--workspace", type=Path, help="workspace in which the flows of this command have run")
    parser.add_argument("--out", type=Path, default=ASSETS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        workspace = Workspace(Path(name) / "workspace")
        if options.workspace:
            shutil.copytree(options.workspace, workspace.root, symlinks=True)
        else:
            work_on_a_survey(workspace.root)
        with headless(Path(name) / "profile") as browser:
            browser.prefer("light")
            browser.call("Emulation.setScrollbarsHidden", hidden=True)
            draw_labelling(browser, workspace, options.out)
            draw_home(browser, workspace, options.out)
            draw_reports(browser, workspace, options.out)


def work_on_a_survey(root: Path) -> None:
    """Run the flows of `RUNS` in a new workspace."""
    environment = os.environ | {ENVIRONMENT_NAME: str(root)}
    command = [sys.executable, "-m", "flows.cli.command"]
    try:
        for flow, *pairs in RUNS:
            words = [word for pair in pairs for word in ("-p", pair)]
            subprocess.run([*command, "run", flow, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    finally:
        subprocess.run([*command, "down"], check=True, env=environment, stdout=subprocess.DEVNULL)


def draw_labelling(browser: Browser, workspace: Workspace, out: Path) -> None:
    """Draw the labelling page at the candidate labelled real that has the largest S/N of a queue."""
    scores = workspace.scores / "transients.parquet"
    request = QueueRequest(dataset="transients", queue="unsure", source="entropy", table=str(scores), count=200)
    queue, _ = open_queue(workspace, request)
    samples = Samples(Dataset.open(workspace, "transients"))
    real = [name for name, label in zip(queue.ids, queue.previous, strict=True) if label == REAL]
    clearest = max(real, key=lambda name: samples.row(name)["snr"] or 0)
    with served(labelling_service(workspace)) as address:
        browser.open(f"{address}/label/transients/unsure?labeller=ann&label=real&sample={clearest}")
        browser.wait_for("/left/.test(document.getElementById('left')?.textContent)")
        draw(browser, out / "page_labelling.png", "main > section")


def draw_home(browser: Browser, workspace: Workspace, out: Path) -> None:
    """Draw the home page with nights and decisions; it shows `SHOWN_ROOT` in place of the workspace's path."""
    for number in range(NIGHTS - 1):
        end_night(workspace, number)
    for number, verdict in enumerate(("HOLD", "REJECT")):
        append(workspace, decision(number, verdict))
    with served(home_service(workspace)) as address:
        browser.open(address)
        browser.wait_for("document.getElementById('told')?.textContent.startsWith('updated')")
        browser.read(f"document.querySelector('h1 span').textContent = '{SHOWN_ROOT}'")
        draw(browser, out / "page_home.png", "[data-part=datasets]")


def draw_reports(browser: Browser, workspace: Workspace, out: Path) -> None:
    """Draw the first screens of the evaluation and of the scored night."""
    for pattern, name, last in (
        ("evaluation-transients-000001-*.html", "page_evaluation.png", ".scroll"),
        ("night-2026-11-28.html", "page_night.png", "figure"),
    ):
        (report,) = workspace.reports.glob(pattern)
        browser.open(report.as_uri())
        browser.wait_for("document.readyState === 'complete' && document.documentElement.matches('.scripted')")
        draw(browser, out / name, last)


def draw(browser: Browser, path: Path, last: str) -> None:
    """Write the page, `WIDTH_PX` wide and down to the end of the first element that `last` selects, as a PNG.

    Raises
    ------
    ValueError
        The picture is larger than `MOST_BYTES`.
    """
    set_screen(browser, WIDTH_PX)  # the height of some elements follows that of the screen
    end_px = browser.read(f"document.querySelector('{last}').getBoundingClientRect().bottom + scrollY")
    set_screen(browser, math.ceil(end_px) + MARGIN_PX)
    shown = browser.call("Page.captureScreenshot", format="png")["data"]
    picture = Image.open(io.BytesIO(base64.b64decode(shown))).convert("RGB").quantize(dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path} has {size} bytes, more than {MOST_BYTES}: show less of the page")
    print(f"written: {path}, {size} bytes", file=sys.stderr)


def set_screen(browser: Browser, height_px: int) -> None:
    """Give the browser a screen of `WIDTH_PX` times a height, and wait until the page is drawn on it."""
    size = {"width": WIDTH_PX, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    browser.read("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => true)")


if __name__ == "__main__":
    main()
