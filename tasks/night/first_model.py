"""The cheap first model of a cascade: whether it is used, and below which logit it may discard.

Its discard threshold is fitted to the reals of its own validation part, see `tasks.learning.cascade`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.learning import cascade
from tasks.learning.cascade import CascadeError, Discard
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import part_rows
from tasks.night.models import REGISTERED_FIRST, NightModel, open_model
from tasks.night.request import NightRequest
from tasks.night.sources import BLOCK_ROWS
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_json
from tasks.tracking.model_registry import UnknownModelError

DISCARD_MARGIN = 2.0
"""Logits by which the first model's threshold is below the lowest real of the validation part. Those reals are
injections; the faintest true transients have somewhat lower logits. Half this margin lost 0.13 % of injected reals, of
the 0.2 % allowed."""
MAX_LOST_LIMIT = 0.02
"""A first model is used only if its upper 95 % limit of lost reals is not above this; few validation reals raise it."""

COUNT_POINT = "tpr99"
"""Operating point of the full model for which discarding is fitted where a number of candidates is selected."""


@dataclass(frozen=True)
class FirstModel:
    """The first model of a night, or the reason why there is none.

    Attributes
    ----------
    model : NightModel or None
    discard : Discard or None
        None together with `model`.
    reason : str or None
        Why no first model is used.
    """

    model: NightModel | None
    discard: Discard | None
    reason: str | None = None


def choose_first(workspace: Workspace, request: NightRequest, full: NightModel, threshold: float | None) -> FirstModel:
    """Return the first model and its discard threshold, or the reason why every candidate is scored by the full model.

    Parameters
    ----------
    workspace : Workspace
    request : NightRequest
    full : NightModel
    threshold : float or None
        Of the full model; None (the best n are selected) is replaced by `COUNT_POINT`.
    """
    if request.first is None:
        return FirstModel(None, None, "no first model was requested")
    try:
        first = open_model(workspace, request.first, REGISTERED_FIRST, request.engine)
    except UnknownModelError:
        chosen = FirstModel(None, None, "no first model is registered (train-realbogus network=first)")
    else:
        chosen = admit_first(workspace, first, full, threshold)
    if chosen.model is None:
        run_logger().info("every candidate is scored by the full model: %s", chosen.reason)
    return chosen


def admit_first(workspace: Workspace, first: NightModel, full: NightModel, threshold: float | None) -> FirstModel:
    """Return a first model with its discard threshold if it suits the full model and loses few enough reals."""
    if first.card["input_shape"] != full.card["input_shape"]:
        sizes = f"{first.name} takes stamps of {first.stamp_px} px, {full.name} {full.stamp_px} px"
        return FirstModel(None, None, sizes)
    if threshold is None:
        threshold = float(full.card["operating_points"][COUNT_POINT]["threshold"])
    try:
        discard = fit_first_discard(workspace, first, full, threshold)
    except (StoreError, CascadeError) as error:
        return FirstModel(None, None, f"the discard threshold of {first.name} cannot be fitted: {error}")
    reason = excessive_loss(first.name, discard)
    return FirstModel(first, discard) if reason is None else FirstModel(None, None, reason)


def excessive_loss(name: str, discard: Discard) -> str | None:
    """Return why a first model loses too many reals, None if its limit is within `MAX_LOST_LIMIT`."""
    if discard.lost_limit <= MAX_LOST_LIMIT:
        return None
    return (
        f"{name} may lose up to {discard.lost_limit:.1%} of the reals, estimated from {discard.kept_by_full} reals of "
        f"the validation part; {MAX_LOST_LIMIT:.1%} is allowed"
    )


def fit_first_discard(workspace: Workspace, first: NightModel, full: NightModel, threshold: float) -> Discard:
    """Return the first model's discard threshold; it is cached per pair of models and threshold.

    Raises
    ------
    StoreError
        The dataset of the first model is missing.
    CascadeError
        Its validation part holds no real, or none that the full model keeps.
    """
    cached = discard_path(workspace, first, full, threshold)
    if cached.is_file():
        return Discard.read(cached)
    dataset = Dataset.open(workspace, f"{first.card['dataset']}@{first.card['dataset_version']}")
    part = part_rows(dataset, str(first.card["scheme"]), "validation")
    rows = np.sort(part.rows[part.labels == 1])
    if not len(rows):
        raise CascadeError(f"the validation part of {dataset.name}@{dataset.version} holds no real")
    blocks = [
        [model.logits(stamps) for model in (first, full)] for stamps in image_blocks(dataset.pixels, rows, BLOCK_ROWS)
    ]
    by_first, by_full = (np.concatenate(logits) for logits in zip(*blocks, strict=True))
    discard = cascade.fit_discard(by_first, by_full, threshold, DISCARD_MARGIN)
    write_json(cached, discard.to_summary())
    return discard


def discard_path(workspace: Workspace, first: NightModel, full: NightModel, threshold: float) -> Path:
    """Return where the discard threshold of a pair of models is cached."""
    name = f"{first.sha256[:16]}-{full.sha256[:16]}-{threshold:.6f}-{DISCARD_MARGIN:g}.json"
    return workspace.root / "cascade" / name
