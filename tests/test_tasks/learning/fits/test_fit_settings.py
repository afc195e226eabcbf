"""Settings of a fit: their defaults, which presets and saved requests rely on, and overrides of a request."""

import pytest
from pydantic import ValidationError

from tasks.learning.fits.fit_settings import FitSettings

REQUIRED = {
    "learning_rate": {"adam": 0.001},
    "schedule": "cosine",
    "epochs": 8,
    "min_steps": 500,
    "batch_size": 64,
    "stop_after": None,
}


def test_defaults_change_nothing_and_keep_the_best_epoch() -> None:
    settings = FitSettings(**REQUIRED)
    assert settings.model_dump(exclude=set(REQUIRED)) == {
        "plateau_after": 3,
        "plateau_factor": 0.3,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "momentum": 0.0,
        "balance": "none",
        "weight_average": 0.0,
        "layer_decay": 1.0,
        "head_epochs": 0,
        "head_rate_factor": 5.0,
        "mixed_precision": "any",
        "distill_teachers": 0,
        "distill_weight": 0.7,
        "keep": "best",
    }


def test_overrides_change_what_they_name_and_epochs_are_exact() -> None:
    settings = FitSettings(**REQUIRED)
    assert settings.with_overrides(None, None) == settings
    exact = settings.with_overrides(3, None)
    assert (exact.epochs, exact.min_steps, exact.batch_size) == (3, 0, 64)
    small = settings.with_overrides(None, 16)
    assert (small.epochs, small.min_steps, small.batch_size) == (8, 500, 16)


@pytest.mark.parametrize("change", [{"schedule": "linear"}, {"keep": "first"}, {"rate": 1}, {"epochs": "many"}])
def test_unknown_names_and_values_are_refused(change: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        FitSettings(**REQUIRED | change)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FitSettings(**REQUIRED).epochs = 9
