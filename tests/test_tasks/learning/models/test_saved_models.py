"""A saved model: the same in another process, refused when touched, never run as code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from galaxy.models.networks import build_model, build_network
from tasks.galaxies.presets import load_preset
from tasks.learning.fits.seeding import seeded
from tasks.learning.models.saved_models import CARD_KEYS, SavedModelError, load_model, read_card, save_model

CARD: dict[str, Any] = {
    "problem": "galaxy",
    "scheme": "deck-3",
    "scheme_digest": "00",
    "classes": ["E", "S", "SB"],
    "preprocessing_version": "galaxy-1",
    "temperature": 1.25,
    "dataset": "sky",
    "dataset_version": 1,
    "dataset_digest": "11",
    "split_hash": "22",
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    preset = load_preset("cnn", "tuned")
    with seeded(3):
        network = build_network(preset, 32, 3, grey=True, precision="float32")
    return build_model(preset, 32, 3, grey=True, weights=network.get_weights())


@pytest.fixture
def folder(tmp_path: Path, model: keras.Model) -> Path:
    save_model(model, tmp_path, CARD)
    return tmp_path


READ = """
import sys
from pathlib import Path
import numpy as np
from tasks.learning.models.saved_models import load_model
folder = Path(sys.argv[1])
model, card = load_model(folder)
np.save(folder / "out.npy", model.predict_on_batch(np.load(folder / "in.npy")))
"""


def test_another_process_gets_the_same_answers(folder: Path, model: keras.Model) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.save(folder / "in.npy", images)
    subprocess.run([sys.executable, "-c", READ, folder], check=True, cwd=Path(__file__).parents[4])
    np.testing.assert_allclose(np.load(folder / "out.npy"), model.predict_on_batch(images), atol=1e-6)


def test_the_card_is_complete(folder: Path) -> None:
    card = read_card(folder)
    assert set(CARD_KEYS) <= set(card)
    assert (card["input_shape"], card["input_dtype"]) == ([32, 32, 3], "uint8")
    assert card["temperature"] == 1.25
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.keras"]


def test_a_changed_model_is_refused(folder: Path) -> None:
    path = folder / "model.keras"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SavedModelError, match="the file was changed"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "os"}, "names problem 'os', known are galaxy, realbogus"),
        ({"sha256": None}, "lacks sha256"),
    ],
)
def test_a_card_that_does_not_hold_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    card = {name: value for name, value in (read_card(folder) | change).items() if value is not None}
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(SavedModelError, match=message):
        load_model(folder)


def test_a_model_without_its_card_is_refused(folder: Path) -> None:
    (folder / "model.json").unlink()
    with pytest.raises(SavedModelError, match="not loaded without its card"):
        load_model(folder)


def test_an_incomplete_card_is_not_written(tmp_path: Path, model: keras.Model) -> None:
    with pytest.raises(SavedModelError, match="lacks scheme, classes"):
        save_model(model, tmp_path, {name: CARD[name] for name in CARD if name not in ("scheme", "classes")})


def test_code_in_a_model_is_not_run(tmp_path: Path) -> None:
    images = keras.Input((4, 4, 3), dtype="uint8")
    unsafe = keras.Model(images, keras.layers.Lambda(lambda x: x)(images))
    save_model(unsafe, tmp_path, CARD)
    with pytest.raises(ValueError, match="Lambda"):
        load_model(tmp_path)
