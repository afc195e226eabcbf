"""What a network predicts of its own training samples after each epoch of a fit, kept on disk."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import SplitPart
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.store.files import whole_file
from tasks.training.train import fit_parts
from tasks.training.training_task import TrainingTask

OUTPUTS_FILE = "outputs.npy"


def training_outputs(training: TrainingTask, parts: tuple[SplitPart, SplitPart], folder: Path) -> NDArray[np.float32]:
    """Fit the training's network and return its logits of the training samples by epoch, (epochs, n, classes).

    A finished fit is not repeated, and an interrupted one continues after its last epoch.

    Parameters
    ----------
    training : TrainingTask
    parts : (SplitPart, SplitPart)
        The n training samples with the labels to fit to, and validation samples.
    folder : Path
        Keeps the outputs; it must belong to this fit alone.

    Raises
    ------
    PartError
        The training samples lack a class.
    """
    path, state = folder / OUTPUTS_FILE, folder / "fit"
    if not path.exists():
        quiet_tensorflow()
        import keras

        def keep_epoch(epoch: int, outputs: NDArray) -> None:
            state.mkdir(parents=True, exist_ok=True)
            with whole_file(state / f"outputs-{epoch:04d}.npy") as beside, beside.open("wb") as stream:
                np.save(stream, np.asarray(outputs, np.float32), allow_pickle=False)

        fit_parts(training, parts, training.choose_device(), state, on_outputs=keep_epoch)
        epochs = [np.load(epoch, allow_pickle=False) for epoch in sorted(state.glob("outputs-*.npy"))]
        with whole_file(path) as beside, beside.open("wb") as stream:
            np.save(stream, np.stack(epochs), allow_pickle=False)
        shutil.rmtree(state)
        keras.backend.clear_session()
    return np.asarray(np.load(path, allow_pickle=False))
