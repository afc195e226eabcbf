"""Optimisers of a fit: rate, schedule, decoupled decay, and updates scaled per variable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from tasks.learning.fits.fit_settings import FitSettings, Optimizer

OPTIMIZERS: dict[Optimizer, tuple[type[keras.optimizers.Optimizer], Callable[[FitSettings], dict[str, Any]]]] = {
    "sgd": (keras.optimizers.SGD, lambda settings: {"momentum": settings.momentum}),
    "adam": (keras.optimizers.Adam, lambda settings: {}),
    "adadelta": (keras.optimizers.Adadelta, lambda settings: {}),
}
"""Optimisers by name: the class, and its arguments beside rate and decay."""

_NOT_DECAYED = ["bias", "gamma", "beta"]


@dataclass(frozen=True)
class Steps:
    """Number of steps of a stretch of a fit."""

    per_epoch: int
    epochs: int

    @property
    def total(self) -> int:
        """All steps."""
        return self.per_epoch * self.epochs


def build_optimizer(
    name: Optimizer, settings: FitSettings, steps: Steps, factors: Mapping[str, float] | None = None
) -> keras.optimizers.Optimizer:
    """Return an optimiser with the schedule and decay of the settings.

    Parameters
    ----------
    name : str
        One of `OPTIMIZERS`.
    settings : FitSettings
    steps : Steps
        Those that it will make.
    factors : dict of variable path to float, optional
        Factors on the updates of the variables and on their decay; None: all 1.

    Raises
    ------
    ValueError
        `OPTIMIZERS` lacks the name, or the settings have no learning rate for it.
    """
    highest = _highest_rate(name, settings)
    rate: Any = highest
    if settings.schedule == "cosine":
        warming = min(steps.per_epoch, steps.total // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            highest / 20,
            max(1, steps.total - warming),
            alpha=0.01,
            warmup_target=highest,
            warmup_steps=warming,
        )
    return _with_decay(name, settings, rate, factors)


def build_head_optimizer(name: Optimizer, settings: FitSettings) -> keras.optimizers.Optimizer:
    """Return the optimiser of a head that is fitted alone; its rate is constant. Errors as of `build_optimizer`."""
    return _with_decay(name, settings, settings.head_rate_factor * _highest_rate(name, settings), None)


def _highest_rate(name: Optimizer, settings: FitSettings) -> float:
    usable = [known for known in OPTIMIZERS if known in settings.learning_rate]
    if name not in usable:
        raise ValueError(f"optimizer={name} cannot be used with these settings; use {', '.join(usable)}")
    return settings.learning_rate[name]


def _with_decay(
    name: Optimizer, settings: FitSettings, rate: Any, factors: Mapping[str, float] | None
) -> keras.optimizers.Optimizer:
    kind, arguments = OPTIMIZERS[name]
    decay = settings.weight_decay or None
    optimizer = (kind if factors is None else scaled(kind, factors))(rate, weight_decay=decay, **arguments(settings))
    if decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


def scaled(kind: type[keras.optimizers.Optimizer], factors: Mapping[str, float]) -> type[keras.optimizers.Optimizer]:
    """Return the optimiser with a rate of its own for each variable: `factors`, by its path, times the rate.

    The rate is scaled, not the gradient: of that Adam's steps are independent.
    """

    class Scaled(kind):
        def build(self, variables: list[keras.Variable]) -> None:
            super().build(variables)
            self._factors = [factors[variable.path] for variable in variables]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = keras.ops.cast(learning_rate * self._factors[self._get_variable_index(variable)], variable.dtype)
            if self.weight_decay is not None and self._use_weight_decay(variable):
                self.assign_sub(variable, variable * keras.ops.cast(self.weight_decay, variable.dtype) * rate)
            super().update_step(gradient, variable, rate)

        def _apply_weight_decay(self, variables: list[Any]) -> None:
            """Nothing: `update_step` decays each variable at its own rate."""

    return Scaled
