"""Rates of champion and challenger on the nights that people judged, from their verdicts on the labelling queues."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from realbogus.records import REAL
from tasks.decisions.labelling_queue import QueueError, queue_tables, read_queue, weighted_rates
from tasks.learning.intervals import Interval
from tasks.reports.page import Block, Heading, Table, Text
from tasks.runtime.workspace import Workspace
from tasks.store.sampling import hash_stream
from tasks.store.schema import REALBOGUS
from tasks.training.registered_models import problem_of

_TITLE = "Nights that people judged"
RATES = ("true_positive_rate", "false_positive_rate", "purity", "error_rate")


def judged_rates(workspace: Workspace, name: str, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return `weighted_rates` by night, the newest first; a night without a verdict is left out.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Registered name of the models. Those of candidates have the rates of the class real too.
    classes : sequence of str
        What a verdict may be, beside unsure.

    Raises
    ------
    QueueError
        A table has an unknown verdict.
    """
    positive = REAL if problem_of(name) == REALBOGUS else None
    rates = {}
    for sheet in reversed(queue_tables(workspace, name)):
        night = sheet.stem
        queue = read_queue(workspace, name, night, classes)
        if queue["verdict"].null_count < queue.num_rows:
            rates[night] = weighted_rates(queue, positive, hash_stream(f"{name}/{night}"))
    return rates


def judged_section(workspace: Workspace, name: str, classes: Sequence[str]) -> list[Block]:
    """Return the section of the nights' page; empty without a judged night. A table that cannot be read is named."""
    try:
        by_night = judged_rates(workspace, name, classes)
    except QueueError as error:
        return [Heading(_TITLE), Text(str(error))]
    if not by_night:
        return []
    shown = [rate for rate in RATES if any(rate in rates["champion"] for rates in by_night.values())]
    rows = [
        [
            night,
            f"{rates['judged']} of {rates['rows']}",
            model,
            *(_rate_text(Interval.from_summary(rates[model], rate)) for rate in shown),
        ]
        for night, rates in by_night.items()
        for model in ("champion", "challenger")
    ]
    return [
        Heading(_TITLE),
        Text(
            "A verdict counts one over the chance with which its row came into the night's labelling queue, so that "
            "the rates are those of the night; groups resampled."
        ),
        Table("Newest first", ("night", "judged", "model", *(rate.replace("_", " ") for rate in shown)), rows),
    ]


def _rate_text(rate: Interval) -> str | None:
    return None if np.isnan(rate.value) else f"{rate.value:.1%} ({rate.ends('.1%')})"
