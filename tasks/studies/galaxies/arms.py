"""A way to train a galaxy classifier, as the studies compare them, and how users write it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.galaxies.choices import NetworkName, OptimizerName, PresetName
from tasks.galaxies.initial_weights import NONE
from tasks.galaxies.methods import TrainingMethods
from tasks.galaxies.training import GalaxyTrainRequest
from tasks.runtime.validation_faults import validation_faults

Fitting = Literal["all", "head"]
Arm = str | dict[str, Any]
"""An arm as users write it: NETWORK, NETWORK:PRESET, NETWORK:PRESET:WEIGHTS, or the fields of `TrainingArm`."""


DEFAULT_ARMS = ("cnn:deck", "cnn:tuned")
"""Compared where nobody names arms: the deck's network, and the better one of its size."""


class ArmError(ValueError):
    """An arm is not written as arms are, or two arms are the same."""


class TrainingArm(BaseModel):
    """One way to train; its fields are those of `train-galaxy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Name in tables."""
    network: NetworkName = "cnn"
    preset: PresetName = "tuned"
    optimizer: OptimizerName | None = None
    weights: str = NONE
    methods: TrainingMethods = TrainingMethods()
    fitting: Fitting = "all"
    """``head``: a logistic regression on the features of the loaded weights, none of which is changed."""

    def request(self, dataset: str, scheme: str | None, seed: int, epochs: int | None = None) -> GalaxyTrainRequest:
        """Return the training's request."""
        return GalaxyTrainRequest(
            dataset=dataset,
            scheme=scheme,
            network=self.network,
            preset=self.preset,
            optimizer=self.optimizer,
            weights=self.weights,
            methods=self.methods,
            seed=seed,
            epochs=epochs,
        )


def parse_arms(arms: Sequence[Arm]) -> list[TrainingArm]:
    """Return the arms that users write as words or as objects.

    Parameters
    ----------
    arms : sequence of str or dict
        ``"cnn:deck"``, ``"xception:deck:imagenet"`` (the preset is ``tuned`` where it is left out), or an object of
        the fields of `TrainingArm`. An object without a name is named by its fields, a word by its parts.

    Returns
    -------
    list of TrainingArm
        In the given order; names are unique.

    Raises
    ------
    ArmError
        There is no arm, one is not valid, or two have one name.
    """
    if not arms:
        raise ArmError("arms is empty: give at least one, such as cnn:tuned")
    parsed = [_parse_arm(arm) for arm in arms]
    names = [arm.name for arm in parsed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArmError(f"arms has {', '.join(map(repr, twice))} more than once: give each arm a name of its own")
    return parsed


def choose_arms(
    arms: Sequence[Arm] | None,
    networks: Sequence[NetworkName] | None = None,
    preset: PresetName | None = None,
    weights: str | None = None,
) -> list[TrainingArm]:
    """Return the arms of `arms`, or of every network with one preset and one start; without either `DEFAULT_ARMS`.

    Parameters
    ----------
    arms : sequence, optional
        As `parse_arms` takes them.
    networks, preset, weights : optional
        None: ``cnn``, ``tuned``, ``none``.

    Raises
    ------
    ArmError
        Both are given, or an arm is not valid.
    """
    given = {"networks": networks, "preset": preset, "weights": weights}
    named = [name for name, value in given.items() if value is not None]
    if arms is not None and named:
        raise ArmError(f"{named[0]}={given[named[0]]} and arms are given: write it into each arm, or leave arms out")
    if arms is not None or not named:
        return parse_arms(DEFAULT_ARMS if arms is None else arms)
    shared = {"preset": preset or "tuned", "weights": weights or NONE}
    return parse_arms([{"network": network, **shared} for network in networks or ("cnn",)])


def _parse_arm(arm: Arm) -> TrainingArm:
    """Return one arm; the third part of a word may hold colons (``models:/NAME/VERSION``)."""
    fields = (
        dict(zip(("network", "preset", "weights"), arm.split(":", 2), strict=False)) if isinstance(arm, str) else arm
    )
    try:
        return TrainingArm.model_validate({"name": _name_of(fields), **fields})
    except ValidationError as error:
        raise ArmError(
            f"arm {arm!r} is not NETWORK, NETWORK:PRESET, NETWORK:PRESET:WEIGHTS, or an object of "
            f"{', '.join(TrainingArm.model_fields)} ({validation_faults(error)})"
        ) from error


def _name_of(fields: Mapping[str, Any]) -> str:
    """Return the words that name an arm: its network, its preset, and what else differs from the defaults."""
    network, preset = fields.get("network", "cnn"), fields.get("preset", "tuned")
    more = [fields[name] for name in ("optimizer", "weights") if fields.get(name) not in (None, NONE)]
    methods = fields.get("methods") or {}
    more += [f"{name}={value}" for name, value in methods.items()] if isinstance(methods, Mapping) else []
    if fields.get("fitting", "all") != "all":
        more += [*(["random"] if fields.get("weights", NONE) == NONE else []), f"{fields['fitting']} only"]
    return " ".join(map(str, [network, preset, *more]))
