"""Secrets of the environment and of addresses are in nothing that a build, a training and the commands write."""

import gzip
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.cli.parameters import ParameterError, read_parameters
from flows.ingest_catalog import ingest_catalog
from flows.train_realbogus import train_realbogus
from tasks.backup.back_up import back_up
from tasks.runtime.logs import show_on_terminal
from tasks.runtime.secrets import SecretError
from tasks.runtime.verbosity import Verbosity
from tasks.runtime.workspace import Workspace
from tests.answer_writers import AT

from .conftest import write_triplets

MARK = "Zq7-marked-"
ADDRESS = f"https://star:{MARK}address@127.0.0.1:9/t.csv"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": f"{MARK}id",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}key",
    "AWS_SESSION_TOKEN": f"{MARK}session",
    "MLFLOW_TRACKING_PASSWORD": f"{MARK}mlflow",
    "MLFLOW_TRACKING_URI": f"postgresql://star:{MARK}database@127.0.0.1:9/mlflow",
}


@pytest.fixture
def marked(flows_here: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace at whose side the environment has secrets, and log lines go to stderr as a command's do."""
    make, handlers = logging.getLogRecordFactory(), [*logging.getLogger().handlers]
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    show_on_terminal(Verbosity.VERBOSE)
    yield flows_here
    logging.setLogRecordFactory(make)
    logging.getLogger().handlers[:] = handlers


def holders(folder: Path) -> list[str]:
    """Return the files below a folder that hold a marked word, packed ones looked into."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        body = path.read_bytes()
        if body.startswith(b"\x1f\x8b"):
            body += gzip.decompress(body)
        if MARK.encode() in body:
            found.append(str(path.relative_to(folder)))
    return found


def test_what_is_written_holds_no_secret(marked: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    made = write_triplets(tmp_path / "made", np.array(["real", "bogus"] * 20))
    build_realbogus_dataset(dataset="stamps", source="triplets", path=str(made))
    train_realbogus(dataset="stamps", network="simple", epochs=1, batch_size=16)
    with pytest.raises(SecretError, match=r"table https://star:\*\*\*@127"):
        ingest_catalog(tables=[ADDRESS])
    logging.getLogger("asked").warning("no answer of %s with %s", ADDRESS, VARIABLES["AWS_SECRET_ACCESS_KEY"])
    words = [sys.executable, "-m", "flows.cli.command", "doctor"]
    # MLflow has set its variable to the workspace's database meanwhile.
    told = subprocess.run(words, capture_output=True, text=True, env=os.environ | VARIABLES).stdout
    assert "postgresql://star:***@127.0.0.1:9/mlflow is not used" in told
    back_up(marked, tmp_path / "backup", AT)
    shown = capfd.readouterr()
    assert "no answer of https://star:***@127.0.0.1:9/t.csv with ***" in shown.err
    assert MARK not in told + shown.out + shown.err
    assert holders(tmp_path) == []
    (tmp_path / "planted.gz").write_bytes(gzip.compress(ADDRESS.encode()))
    assert holders(tmp_path) == ["planted.gz"]


def test_a_command_refuses_a_parameter_that_would_be_recorded_with_its_password() -> None:
    with pytest.raises(
        ParameterError, match=r"parameter 'tables': https://star:\*\*\*@127.*put it into ~/\.netrc"
    ) as no:
        read_parameters(ingest_catalog.fn, [f"tables={ADDRESS}"])
    assert MARK not in str(no.value)
