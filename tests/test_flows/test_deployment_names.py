"""The bare name of a deployment, and that there is one of each flow's name."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from flows.cli.flow_catalogue import flow_names, load_flow
from flows.deployment_names import complete_name

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("deployment run sky", "deployment run sky/sky"),
        ("deployment run --watch sky", "deployment run --watch sky/sky"),
        ("deployment run sky -p limit=3", "deployment run sky/sky -p limit=3"),
        ("deployment run sky/other", "deployment run sky/other"),
        ("deployment run --id 5", "deployment run --id 5"),
        ("deployment run", "deployment run"),
        ("deployment inspect sky", "deployment inspect sky"),
        ("server start", "server start"),
    ],
)
def test_only_the_bare_name_is_completed(written: str, meant: str) -> None:
    assert complete_name(written.split()) == meant.split()
    assert complete_name(meant.split()) == meant.split()


def test_every_flow_has_one_deployment_of_its_name() -> None:
    deployments = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]
    assert sorted(deployment["name"] for deployment in deployments) == flow_names()
    for deployment in deployments:
        stem = deployment["name"].replace("-", "_")
        assert deployment["entrypoint"] == f"flows.{stem}:{stem}"
        assert importlib.util.find_spec(f"flows.{stem}") is not None
        assert deployment["work_pool"] == {"name": "local"}


@pytest.mark.parametrize("name", flow_names())
def test_the_form_of_every_flow_describes_its_parameters(name: str) -> None:
    for parameter, schema in load_flow(name).parameters.properties.items():
        assert schema.get("description"), f"{name} {parameter}"
