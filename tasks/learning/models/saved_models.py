"""A model on disk: ``model.keras`` and its card ``model.json``, which is read first.

The card names the problem, whose package holds the layers, and the model's sha256. Only then does Keras load the model,
in safe mode, so that nothing in the file can run code.
"""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.store.files import sha256_of_file, write_json

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"
CARD_FILE = "model.json"

# Where each problem registers its layers with Keras; a card cannot name a module.
PROBLEM_LAYERS = {"galaxy": "galaxy.models.layers", "realbogus": "realbogus.models.networks"}

CARD_KEYS = (
    "problem",
    "scheme",
    "scheme_digest",
    "classes",
    "input_shape",
    "input_dtype",
    "preprocessing_version",
    "temperature",
    "dataset",
    "dataset_version",
    "dataset_digest",
    "split_hash",
    "sha256",
)


class SavedModelError(ValueError):
    """A folder does not hold a model that may be loaded."""


def save_model(model: "keras.Model", folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write `model` and its card into `folder` and return the card as written.

    Parameters
    ----------
    model : keras.Model
        Takes images as they are stored, gives probabilities.
    folder : Path
        Made where it does not exist.
    card : dict
        Holds `CARD_KEYS` but the input's shape and dtype and the sha256, which come from the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / MODEL_FILE)
    images = model.inputs[0]
    written = {
        **card,
        "input_shape": list(images.shape[1:]),
        "input_dtype": str(images.dtype),
        "sha256": sha256_of_file(folder / MODEL_FILE),
    }
    _require_keys(written, folder / CARD_FILE)
    write_json(folder / CARD_FILE, written)
    return written


def load_model(folder: Path) -> tuple["keras.Model", dict[str, Any]]:
    """Return the model of `folder` and its card; errors as of `checked_card`."""
    card = checked_card(folder)
    quiet_tensorflow()
    import keras

    importlib.import_module(PROBLEM_LAYERS[card["problem"]])
    return keras.saving.load_model(folder / MODEL_FILE, compile=False, safe_mode=True), card


def checked_card(folder: Path) -> dict[str, Any]:
    """Return a model's card, having compared the model's file with it; neither Keras nor TensorFlow is imported.

    Raises
    ------
    SavedModelError
        The card is missing or incomplete, its problem is unknown, or the model's file is not the one it describes.
    """
    card = read_card(folder)
    sha256 = sha256_of_file(folder / MODEL_FILE)
    if sha256 != card["sha256"]:
        raise SavedModelError(
            f"{folder / MODEL_FILE} has sha256 {sha256}, {CARD_FILE} says {card['sha256']}: the file was changed, "
            "it is not loaded"
        )
    return card


def read_card(folder: Path) -> dict[str, Any]:
    """Return a model's card, checked; the model itself is not touched."""
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise SavedModelError(f"{path} is missing or is no JSON: a model is not loaded without its card") from error
    _require_keys(card, path)
    if card["problem"] not in PROBLEM_LAYERS:
        raise SavedModelError(f"{path} names problem {card['problem']!r}, known are {', '.join(PROBLEM_LAYERS)}")
    return card


def _require_keys(card: dict[str, Any], path: Path) -> None:
    missing = [key for key in CARD_KEYS if key not in card]
    if missing:
        raise SavedModelError(f"{path} lacks {', '.join(missing)}")
