"""A registered model as ONNX: its card, its outputs, and the refusal of one that answers otherwise."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tasks.learning.models.inference import ParityError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training import model_export
from tasks.training.model_export import export_registered
from tests.archives import unpack

FIXTURE = Path(__file__).parents[2] / "fixtures" / "made_at_4e71ab2"


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    """A workspace with registered models; see the fixture's README."""
    unpack(FIXTURE / "workspace.tar.gz", tmp_path)
    return Workspace(tmp_path / "workspace")


def test_the_exported_model_gives_the_models_outputs_and_has_its_card(made: Workspace) -> None:
    summary = export_registered(made, "champion", "sky", None)
    assert summary["model"] == "models:/galaxy-deck-3/1"
    assert Path(summary["path"]) == made.root / "exports" / "galaxy-deck-3-1" / "model.onnx"
    assert summary["checked"] == 3
    assert 0 <= summary["largest_difference"] <= model_export.MOST_DIFFERENCE
    card = json.loads(Path(summary["path"]).with_name("model.json").read_text(encoding="utf-8"))
    assert card["classes"] == ["E", "S", "SB"]
    session = onnxruntime.InferenceSession(summary["path"])
    images = np.asarray(Dataset.open(made, "sky").pixels[:2])
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_path_of_ones_own_is_written_to(made: Workspace, tmp_path: Path) -> None:
    summary = export_registered(made, "models:/galaxy-deck-3/1", "sky", str(tmp_path / "mine" / "galaxy.onnx"))
    assert Path(summary["path"]) == tmp_path / "mine" / "galaxy.onnx"
    assert (tmp_path / "mine" / "model.json").is_file()


def test_a_model_that_answers_otherwise_is_refused(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_export, "MOST_DIFFERENCE", -1.0)
    with pytest.raises(ParityError, match="differ"):
        export_registered(made, "champion", "sky", None)
