"""A model in its fastest form answers as Keras does, and is not used otherwise."""

from pathlib import Path

import keras
import numpy as np
import pytest

from realbogus.models.networks import build_model, build_network
from tasks.candidates.presets import load_preset
from tasks.learning.fits.seeding import seeded
from tasks.learning.models.inference import (
    ParityError,
    check_parity,
    export_verified,
    onnx_outputs,
    open_outputs,
    run_in_parallel,
    tensorflow_outputs,
    trial_samples,
)
from tasks.learning.models.onnx_export import export_onnx


def model_of(network: str, **changes: object) -> keras.Model:
    preset = load_preset(network, "small", "fixed").model_copy(update=changes)  # type: ignore[arg-type]
    with seeded(1):
        network = build_network(preset, 29, precision="float32")
    return build_model(preset, 29, network.get_weights())


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("simple", {}),
        ("complex", {}),
        ("compact", {}),
        ("first", {}),
        ("simple", {"stamp_scalars": True, "exchange_fainter": False}),
        ("complex", {"stamp_scalars": True, "average_views": True}),
    ],
)
def test_what_is_exported_answers_as_keras_does(network: str, changes: dict[str, object], tmp_path: Path) -> None:
    model = model_of(network, **changes)
    assert export_verified(model, tmp_path / "m.onnx") < 0.1
    samples = trial_samples((29, 29, 3), seed=5)
    ours, theirs = onnx_outputs(tmp_path / "m.onnx")(samples), np.asarray(model.predict_on_batch(samples))
    assert np.quantile(np.abs(ours - theirs), 0.95) < 1e-3
    assert ours.shape == (len(samples), 2)


def test_it_is_exported_once_and_again_if_the_file_was_touched(tmp_path: Path) -> None:
    model, loaded = model_of("first"), []

    def load() -> keras.Model:
        loaded.append(1)
        return model

    card = {"sha256": "a" * 64}
    first = open_outputs(card, load, tmp_path, "auto")
    second = open_outputs(card, load, tmp_path, "auto")
    assert (first.engine, second.engine, len(loaded)) == ("onnxruntime", "onnxruntime", 1)
    assert first.largest_difference == second.largest_difference
    path = tmp_path / f"{card['sha256']}.onnx"
    path.write_bytes(path.read_bytes() + b"x")
    assert open_outputs(card, load, tmp_path, "auto").engine == "onnxruntime"
    assert len(loaded) == 2


def test_what_answers_otherwise_is_refused_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.learning.models import inference

    monkeypatch.setattr(inference, "USUAL_DIFFERENCE", -1.0)
    with pytest.raises(ParityError, match="differs from Keras"):
        export_verified(model_of("first"), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    assert open_outputs({"sha256": "b"}, lambda: model_of("first"), tmp_path, "auto").engine == "tensorflow"


def test_any_number_of_samples_gives_the_same_answers() -> None:
    model = model_of("compact")
    run = tensorflow_outputs(model, block=64)
    samples = trial_samples((29, 29, 3))[:100]
    np.testing.assert_allclose(run(samples), model.predict_on_batch(samples), atol=1e-3)


def test_threads_keep_the_order(tmp_path: Path) -> None:
    outputs = open_outputs({"sha256": "c"}, lambda: model_of("first"), tmp_path, "onnx")
    samples = trial_samples((29, 29, 3))
    np.testing.assert_array_equal(run_in_parallel(outputs, samples, 3), outputs.run(samples))


def test_the_interchange_form_has_its_parity_stated(tmp_path: Path) -> None:
    model = model_of("compact")
    export_onnx(model, tmp_path / "m.onnx")
    samples = trial_samples((29, 29, 3))[8:]
    difference = check_parity(model, tmp_path / "m.onnx", samples, 1e-1)
    assert 0 <= difference < 1e-1
    with pytest.raises(ParityError, match="differ"):
        check_parity(model, tmp_path / "m.onnx", samples, -1.0)
