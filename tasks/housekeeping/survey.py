"""All items of a workspace, with who needs whom and what is kept for a reason of its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tasks.housekeeping import file_items
from tasks.housekeeping.dataset_items import COPY, SHARD, VERSION, survey_datasets
from tasks.housekeeping.decision_words import Named, read_named
from tasks.housekeeping.model_items import MODEL, RUN, model_items, run_items, run_key
from tasks.housekeeping.references import Item
from tasks.housekeeping.rules import BUSY, HOLDOUT, LEDGER, SHARED, TORN, Rules
from tasks.runtime.workspace import Workspace
from tasks.tracking.retention import RecordedRun, RegisteredVersion, read_contents
from tasks.tracking.tracking_store import tracking_store

DECIDED_ON = (MODEL, RUN, VERSION, file_items.NIGHT, file_items.SCORES, file_items.PAGE)
"""Kinds that a row of the decision ledger may name."""
IN_USE = (MODEL, RUN, VERSION, COPY, SHARD, file_items.NIGHT)
"""Kinds that a training or a scoring may be reading, and that a model may have been made of."""


@dataclass
class Contents:
    """The items of a workspace.

    Attributes
    ----------
    items : list of Item
    models : dict of str to RegisteredVersion
        By key of the item.
    runs : dict of str to RecordedRun
        By key of the item.
    problems : list of str
        What cannot be read.
    busy : list of str
        Work that a process is at.
    removing_bytes : int
        Size of the objects of which no item has anything: an earlier removal has begun to remove them.
    """

    items: list[Item]
    models: dict[str, RegisteredVersion] = field(default_factory=dict)
    runs: dict[str, RecordedRun] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    removing_bytes: int = 0


def survey_workspace(workspace: Workspace, rules: Rules) -> Contents:
    """Return everything in a workspace that could be forgotten, and what is kept for a reason of its own."""
    datasets = survey_datasets(workspace, rules)
    nights = list(file_items.night_items(workspace, datasets, rules))
    caches = list(file_items.cache_items(workspace, rules))
    versions, runs = read_contents(workspace)
    models = list(model_items(versions, caches, rules))
    registered = {version.model_id for version in versions if version.model_id}
    items = [
        *datasets.items.values(),
        *nights,
        *file_items.score_items(workspace, nights, rules),
        *models,
        *run_items(runs, registered, rules),
        *file_items.unfinished_items(workspace, rules),
        *file_items.part_items(workspace, rules),
        *caches,
    ]
    items += file_items.with_mentions(file_items.page_items(workspace, rules), items)
    named, busy = read_named(workspace), file_items.busy_locks(workspace)
    return Contents(
        with_roots(items, named, BUSY if busy else None if tracking_store(workspace).is_own else SHARED),
        {item.key: version for item, version in zip(models, versions, strict=True)},
        {run_key(run.id): run for run in runs},
        [*datasets.problems, *named.torn],
        busy,
        datasets.removing_bytes,
    )


def with_roots(items: Iterable[Item], named: Named, in_use: str | None) -> list[Item]:
    """Return the items, kept where decisions name them, may have named them, or who is not asked may be using them.

    Parameters
    ----------
    items : iterable of Item
    named : Named
        By the decisions.
    in_use : str, optional
        Why the kinds `IN_USE` are kept; None: for no such reason.
    """

    def reason(item: Item) -> str | None:
        if in_use is not None and item.kind in IN_USE:
            return in_use
        if item.words & named.ledger:
            return LEDGER
        if item.words & named.holdouts:
            return HOLDOUT
        return TORN if named.torn and item.kind in DECIDED_ON else item.kept

    return [replace(item, kept=reason(item)) for item in items]
