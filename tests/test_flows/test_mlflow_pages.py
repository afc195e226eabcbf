"""MLflow's pages as `starloom up` serves them: nothing of the assistant is there, and images are seen."""

import shutil
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tasks.runtime.workspace import Workspace
from tasks.store.schema import GALAXY
from tasks.tracking.database import open_client
from tasks.tracking.mlflow_app import PARAMETERS
from tests.browser import CHROMIUM, headless
from tests.pictures import QUERY, mlflow_page

SPEAKING = """[...document.querySelectorAll('body *')].filter((each) => /assistant|usage data/i.test(each.ariaLabel
  ?? [...each.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join()))"""
"""All that speaks of an assistant, or of the collection of usage data."""
LATER = "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_no_assistant_is_on_the_pages_or_answers_and_images_are_seen(
    workspace: Workspace, mlflow_database: Path, tmp_path: Path
) -> None:
    workspace.root.mkdir(parents=True, exist_ok=True)
    shutil.copy(mlflow_database, workspace.root)
    client = open_client(workspace)
    experiment = client.get_experiment_by_name(GALAXY).experiment_id
    run = client.create_run(experiment).info.run_id
    for number in range(30):
        client.log_param(run, f"parameter_{number}", "of many")
    client.log_image(run, Image.new("RGB", (90, 60), "green"), key="test_confusion", step=0)
    with mlflow_page(workspace, tmp_path / "mlflow.log") as address, headless(tmp_path / "profile") as browser:
        for page, shown in (
            (f"experiments/{experiment}/runs?{QUERY}", "Model training"),
            (f"experiments/{experiment}/traces", "Manual setup"),
            ("", "Recent Experiments"),
        ):
            browser.open(f"{address}/#/{page}")
            browser.wait_for(f"{SPEAKING}.length >= 2 && document.body.innerText.includes('{shown}')")
            if "CHART" in page:
                browser.wait_for(f"document.querySelector({PARAMETERS!r})?.textContent.includes('parameter_29')")
                assert browser.read(f"document.querySelector({PARAMETERS!r}).offsetHeight") < 30
            assert browser.read(f"{SPEAKING}.filter((each) => each.checkVisibility()).map((e) => e.outerHTML)") == []
        for path in ("config", "providers/mlflow_gateway/health"):
            assert httpx.get(f"{address}/ajax-api/3.0/mlflow/assistant/{path}").status_code == 404
        assert httpx.post(f"{address}/ajax-api/3.0/mlflow/assistant/message", json={"message": "m"}).status_code == 404
        assert httpx.get(f"{address}/ajax-api/3.0/mlflow/server-info").is_success
        assert httpx.get(address, headers={"If-Modified-Since": LATER}).status_code == 200
        assert httpx.get(address, headers={"Host": "example.org"}).status_code == 403
