"""The result of collecting, before it is published, and the counts by which it is accounted for."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from expectations.results import ValidationResult
from expectations.split_shares import PARTS
from tasks.building.plan import BuildParameters, Plan
from tasks.store.columns import Ids, select_ids
from tasks.store.errors import StoreError
from tasks.store.versions import stored_rows, value_counts

_FAULT_PARAMETERS = ("file", "error", "fault")
"""Keys of a rejected row's ``parameters`` that say what is wrong."""
_MOST_CHARACTERS = 200
Account = Callable[[pa.Table, pa.Table | None, pa.Table | None], dict[str, Any]]


@dataclass(frozen=True)
class Harvest:
    """The rows that a build collected, and the settings that depend on its problem.

    Attributes
    ----------
    plan : Plan
    ids : Array of string
        Every id of the request, published or not: the summary accounts for these.
    ledger : Table
        The request's rows that are not published yet: `LEDGER`, the problem's own columns, and where the pixels of
        the stored ones are staged (`tasks.store.merging.PLACE`).
    labels : Table or None
        Columns ``id``, ``label`` and the problem's own: labels of the plan's scheme for the request's ids.
    sample_shape, dtype
        Shape (y, x, channel) and type of a sample, used when the pixel array does not exist yet.
    linked : bool
        Groups are found by position; otherwise the ledger's ``group`` names them.
    raw_kept : bool
        Stored rows name their raw bytes.
    truth : Table or None
        Hidden truth of simulated samples: id, truth, origin.
    manifest : mapping
        The problem's entries of the manifest.
    accounted : sequence of str
        The ledger's columns that `account` reads, ``id`` among them.
    account : function of (those columns of the request's rows, labels, split)
        Returns the summary without name, version and time.
    least_finite_fraction : float
        A row with a smaller finite fraction is rejected as ``nan``.
    least_stored_fraction : float
        The build fails when a smaller fraction of the request is left to store.
    validations : sequence of ValidationResult
        Results of the problem's own expectations, each of which must hold.
    test_only : str
        Groups whose name begins with this prefix go to the test part; empty: there are none.
    enough_groups : str
        The smallest request that gives one group a part of the split, such as ``chips=3 visits=1``.
    linked_by_rejected : bool
        Rejected rows link groups too. So the groups of a catalogue's objects do not depend on which of them were
        collected first.
    """

    plan: Plan[BuildParameters]
    ids: pa.Array
    ledger: pa.Table
    labels: pa.Table | None
    sample_shape: tuple[int, int, int]
    dtype: str
    linked: bool
    raw_kept: bool
    truth: pa.Table | None
    manifest: dict[str, Any]
    accounted: Sequence[str]
    account: Account
    least_finite_fraction: float = 1.0
    least_stored_fraction: float = 0.0
    validations: Sequence[ValidationResult] = field(default=(), repr=False)
    test_only: str = ""
    enough_groups: str = "3 groups"
    linked_by_rejected: bool = False


def require_enough(ledger: pa.Table, harvest: Harvest) -> None:
    """Refuse to publish a request of which too few rows, or none, are left to store.

    Parameters
    ----------
    ledger : Table
        The merged ledger, columns id, status, reason and parameters.

    Raises
    ------
    StoreError
        Names the most frequent reasons and the first rejected row.
    """
    requested = select_ids(ledger.select(["id", "status", "reason", "parameters"]), harvest.ids)
    stored = stored_rows(requested).num_rows
    least = max(1, harvest.least_stored_fraction * requested.num_rows)
    if stored >= least:
        return
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in value_counts(requested["reason"].drop_null()).most_common(4)
    )
    rejected = requested.filter(pc.is_valid(requested["reason"])).slice(0, 1).to_pylist()
    first = "".join(f"; the first: {row['id']} ({row['reason']}) {_describe(row['parameters'])}" for row in rejected)
    raise StoreError(
        f"{stored} of {requested.num_rows} samples are left, at least {least:.0f} are needed; "
        f"rejected: {reasons}{first}"
    )


def _describe(parameters: str | None) -> str:
    """Return file and error of a rejected row, as its parameters name them; without these, their first characters."""
    text = parameters or ""
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    named = [str(facts[name]) for name in _FAULT_PARAMETERS if facts.get(name)] if isinstance(facts, dict) else []
    return ": ".join(named) or text[:_MOST_CHARACTERS]


def balanced_account(
    harvest: Harvest, ledger: pa.Table, labels: pa.Table | None, split: pa.Table | None
) -> dict[str, Any]:
    """Return the account of the request's own samples.

    Raises
    ------
    StoreError
        The number of stored and rejected samples is not the number requested.
    """
    account = harvest.account(select_ids(ledger.select(harvest.accounted), harvest.ids), labels, split)
    requested = account.get("objects", account.get("asked"))
    stored, rejected = account["stored"], sum(account["rejected"].values())
    if stored + rejected != requested:
        raise StoreError(f"{requested} requested, {stored} stored, {rejected} rejected: no balance")
    return account


def part_counts(split: pa.Table | None, ids: Ids) -> dict[str, int] | None:
    """Count the given samples in each part of the split (columns id, part); None without a split."""
    if split is None:
        return None
    counts = value_counts(select_ids(split.select(["id", "part"]), ids)["part"])
    return {part: counts[part] for part in PARTS}


def class_counts(ledger: pa.Table, labels: pa.Table, classes: Iterable[str]) -> dict[str, int]:
    """Count the stored samples of each class; `ledger` has columns id and status, `labels` id and label."""
    counts = value_counts(select_ids(labels.select(["id", "label"]), stored_rows(ledger, ["id"])["id"])["label"])
    return {name: counts[name] for name in classes}
