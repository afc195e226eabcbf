"""The ladder's steps: the settings of each, and those that a comparison of chosen ones needs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from realbogus.models.network_settings import Network

Steps = dict[str, dict[str, Any]]
"""Settings of `tasks.studies.rows.StudyRow` by name of the step."""

CONVENTIONAL: dict[str, Any] = {"network": "simple", "normalisation": "sky-asinh"}
"""The network of the first steps, with a channel a plane."""
FIRST: Steps = {
    "simple, one detector each": {**CONVENTIONAL, "treatment": "each"},
    "simple, all detectors at the size of one": {**CONVENTIONAL, "treatment": "mix"},
    "simple, all": CONVENTIONAL,
    "simple, six channels": {"network": "simple"},
}
TRAINING: Steps = {
    "+ AUC loss": {"loss_ech": 0.1},
    "+ two stages": {"loss_lds": 1.0, "handling": "unlabel"},
}
"""Changes of the training that are added one after the other."""
LONGER = 3
"""Factor on the epochs of the further steps."""
FRESH = "+ fresh injections each epoch"
TEACHERS = 3
FURTHER: Steps = {
    f"+ {LONGER} times the epochs": {},
    FRESH: {},
    "+ averaged weights": {"weight_average": 0.998},
    "+ shift and noise": {"shift_px": 0.5, "noise": 0.2},
    "+ mean over the symmetries": {"average_views": True},
    "+ scalars of the stamp": {"stamp_scalars": True},
    "+ partial AUC": {"partial_auc": 0.1},
    "+ distilled ensemble": {"distill_teachers": TEACHERS},
}
"""Training methods that are added one after the other to those steps; `FRESH` has the share it is given."""


class StepError(ValueError):
    """A step cannot be compared; the message names it."""


def list_steps(epochs: int, fresh_reals: float | None = None, network: Network = "simple") -> Steps:
    """Return the settings of all steps by name; the further ones are fitted `LONGER` times the epochs.

    Parameters
    ----------
    epochs : int
        Of the steps before the further ones.
    fresh_reals : float, optional
        Share of the reals that an epoch has: the same ones up to the step `FRESH`, others in each epoch from it on, so
        that epochs are equally long. None: all reals in every epoch, and no such step.
    network : str
        Of the steps after `FIRST`, whose network is the simple one; another begins with a step of its own.
    """
    fixed = {} if fresh_reals is None else {"real_share": fresh_reals}
    steps, last = {name: step | fixed for name, step in FIRST.items()}, dict[str, Any](network=network)
    if network != CONVENTIONAL["network"]:
        steps[f"{network}, all"] = last | fixed
    for name, change in TRAINING.items():
        last = last | change
        steps[name] = last | fixed
    methods = dict[str, Any]()
    for name, change in FURTHER.items():
        if name == FRESH and fresh_reals is None:
            continue
        methods = methods | ({"fresh_reals": fresh_reals} if name == FRESH else change)
        reals = {} if "fresh_reals" in methods else fixed
        steps[name] = {**last, **reals, "epochs": LONGER * epochs, "methods": methods}
    return steps


def choose_steps(steps: Mapping[str, dict[str, Any]], chosen: Sequence[str] | None) -> Steps:
    """Return the chosen steps and the one before each, in the order of the ladder; None: all.

    Raises
    ------
    StepError
        There is no such step, or none is chosen.
    """
    if chosen is None:
        return dict(steps)
    names = list(steps)
    for name in chosen:
        if name == FRESH and name not in names:
            raise StepError(
                f"steps: {name!r} needs fresh_reals, the share of the reals that an epoch has, such as 0.33"
            )
        if name not in names:
            raise StepError(f"steps: there is no {name!r}; choose of {json.dumps(names)}")
    if not chosen:
        raise StepError(f"steps is empty: choose of {json.dumps(names)}, or null for all")
    places = {names.index(name) for name in chosen}
    return {name: steps[name] for place, name in enumerate(names) if places & {place, place + 1}}
