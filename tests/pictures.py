"""Pictures of pages for the documentation, into ``docs/assets``: ``python -m tests.pictures compare``.

Everything on a picture is made for it: a small dataset, two short trainings, the service that shows them.
"""

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image

from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.schema import GALAXY
from tasks.tracking.database import SERVER_SETTINGS, SERVER_WORDS, open_client, prepare
from tasks.training.train import train_model
from tests.browser import PATIENCE_S, Browser, headless
from tests.small_galaxies import publish_galaxies

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
QUERY = "workflowType=machine_learning&compareRunsMode=CHART"
"""Of the page of an experiment's runs: charts in place of the list."""
CHARTS = "^test_(accuracy|macro_f1|ece)$"
"""The charts that are shown: a search by a regular expression."""
SETTLING_S = 6.0
"""The charts move to their places, and their images come."""
COLOURS = 48
"""Of a picture: text on a plain ground needs few, and the file is a quarter of the size."""


def draw_compare(target: Path) -> None:
    """Show two trainings of one dataset on MLflow's page of comparison."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        os.environ[ENVIRONMENT_NAME] = str(workspace.root)
        prepare(workspace)
        publish_galaxies(workspace, "sky", 400, size=32, truth=("E", "S"), scheme="gz2-2class")
        runs = [fit(workspace, preset) for preset in ("deck", "tuned")]
        experiment = open_client(workspace).get_experiment_by_name(GALAXY).experiment_id
        with mlflow_page(workspace, Path(folder) / "mlflow.log") as address, headless(Path(folder) / "profile") as page:
            show_charts(page, f"{address}/#/experiments/{experiment}/runs?{QUERY}", len(runs))
            save(page, target)


def fit(workspace: Workspace, preset: str) -> str:
    """Train for a few epochs and return the run's id."""
    request = GalaxyTrainRequest(dataset="sky", preset=preset, epochs=8, batch_size=32)
    return str(train_model(open_galaxy_training(workspace, request))["run_id"])


def show_charts(page: Browser, address: str, runs: int) -> None:
    """Open the charts of an experiment's runs, and search for those of the test part."""
    page.call("Emulation.setDeviceMetricsOverride", width=1400, height=1000, deviceScaleFactor=1, mobile=False)
    page.open(address)
    search = "document.querySelector('input[placeholder=\"Search metric charts\"]')"
    page.wait_for(f"{search} !== null")
    page.read(f"{search}.focus()")
    page.call("Input.insertText", text=CHARTS)
    page.wait_for(f"document.querySelectorAll('.barlayer .point').length >= {3 * runs}")
    time.sleep(SETTLING_S)


@contextmanager
def mlflow_page(workspace: Workspace, log: Path) -> Iterator[str]:
    """Serve MLflow's pages of a workspace on a free port of loopback; yield their address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", *SERVER_WORDS, "--backend-store-uri", workspace.mlflow_uri]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE_S
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=os.environ | dict(SERVER_SETTINGS), stdout=stream, stderr=stream)
    try:
        while not is_answering(f"{address}/health"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "MLflow did not answer"
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def is_answering(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).is_success
    except httpx.HTTPError:
        return False


def save(page: Browser, target: Path) -> None:
    """Write what the page shows as a PNG of few colours."""
    shot = b64decode(page.call("Page.captureScreenshot", format="png")["data"])
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(COLOURS).save(target, optimize=True)


PICTURES = {"compare": (draw_compare, "mlflow_compare.png")}


def main(names: Sequence[str]) -> None:
    """Draw the named pictures, all of them by default."""
    for name in names or PICTURES:
        draw, file = PICTURES[name]
        draw(ASSETS / file)
        print(ASSETS / file)


if __name__ == "__main__":
    main(sys.argv[1:])
