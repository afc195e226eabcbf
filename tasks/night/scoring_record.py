"""The record beside a night's scores: what scored which candidates by which rule, so that it can be done again."""

import hashlib
import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from realbogus.stamps import pixel_digests
from tasks.learning.cascade import Discard
from tasks.night.models import NightModel, ScoringRule
from tasks.night.request import NightRequest
from tasks.night.sources import DatasetNight, NightSource, RecordNight
from tasks.runtime.workspace import Workspace

FORMAT_VERSION: Literal[1] = 1


class SourceRecord(BaseModel):
    """Where the candidates of a night came from, and what identifies them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the workspace if it lies inside; of a dataset the folder of the version."""
    dataset: str | None
    """``NAME@VERSION`` of a dataset; None for other sources."""
    identity: str
    """sha256 of `NightSource.identity`, without the workspace's own path."""
    stamp_px: int
    """Side of the stamps whose digests are in the scores, pixels."""
    stamps_digest: str
    """See `digest_stamps`."""

    def place(self, workspace: Workspace) -> Path:
        """Return the path of the source in a workspace, which may have been moved."""
        return workspace.root / self.path


class ModelRecord(BaseModel):
    """A model that scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """``models:/NAME/VERSION``."""
    sha256: str
    """Of the model's file."""
    preprocessing_version: str

    @classmethod
    def of(cls, model: NightModel) -> "ModelRecord":
        """Return the record of a model."""
        version = str(model.card["preprocessing_version"])
        return cls(address=f"models:/{model.name}", sha256=model.sha256, preprocessing_version=version)

    @property
    def name(self) -> str:
        """``NAME/VERSION``, as in the scores."""
        return self.address.removeprefix("models:/")


class FirstRecord(ModelRecord):
    """A first model, and what it may discard."""

    discard: dict[str, float | int]
    """`Discard.to_summary`."""


class ScoringRecord(BaseModel):
    """How a night's scores were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = FORMAT_VERSION
    night: str
    source: SourceRecord
    request: dict[str, Any]
    """`NightRequest` without ``path`` and ``night``."""
    model: ModelRecord
    first: FirstRecord | None
    no_first: str | None
    """Why no first model was used."""
    threshold: float | None
    """Logit; None if no candidate could be selected."""
    threshold_version: str
    """See `ScoringRule.threshold_version`."""
    found: dict[str, Any]
    """What was found in the source: ``repeated, understood, ignored, missing, notes`` of the summary."""
    rows: int = Field(ge=0)
    scores_sha256: str
    """Of the scores file: a file that differs is not the one that is described here."""
    scored_at: datetime
    """When the logits were made, UTC."""
    scored_with: str
    """Code version of the logits."""
    decided_at: datetime
    """When the decisions were made, UTC."""
    decided_with: str
    """Code version of the decisions."""

    def night_request(self, workspace: Workspace, **changes: Any) -> NightRequest:
        """Return the request that scores the same candidates again, with changes."""
        facts = {**self.request, "path": str(self.source.place(workspace)), "night": self.night}
        return NightRequest(**facts | changes)

    @property
    def discard(self) -> Discard | None:
        """What the first model discarded; None without one."""
        return None if self.first is None else Discard(**self.first.discard)  # type: ignore[arg-type]


def record_source(workspace: Workspace, source: NightSource, path: str, stamp_px: int, scores: Path) -> SourceRecord:
    """Return the record of a source that was opened by `path` and scored into the file `scores`."""
    place, dataset = Path(path).expanduser(), None
    if isinstance(source, DatasetNight):
        place, dataset = source.dataset.path, f"{source.dataset.name}@{source.dataset.version}"
    place = place.absolute()
    root = workspace.root.absolute()
    return SourceRecord(
        path=str(place.relative_to(root) if place.is_relative_to(root) else place),
        dataset=dataset,
        identity=digest_identity(workspace, source),
        stamp_px=stamp_px,
        stamps_digest=digest_scored(scores),
    )


def record_first(rule: ScoringRule, discard: Discard | None) -> FirstRecord | None:
    """Return the record of a rule's first model; None without one."""
    if rule.first is None or discard is None:
        return None
    return FirstRecord(**ModelRecord.of(rule.first).model_dump(), discard=discard.to_summary())


def finite_or_none(threshold: float) -> float | None:
    """Return a threshold as JSON has it: None for infinity."""
    return threshold if math.isfinite(threshold) else None


def infinite_if_none(threshold: float | None) -> float:
    """Return the threshold that `finite_or_none` gave of."""
    return math.inf if threshold is None else threshold


def digest_identity(workspace: Workspace, source: NightSource) -> str:
    """Return the sha256 of a source's identity; a workspace that is moved as a whole keeps it."""
    root = str(workspace.root.resolve())
    return hashlib.sha256(source.identity.replace(root, "").encode()).hexdigest()


def digest_scored(scores: Path) -> str:
    """Return the digest of the candidates of a scores file, see `digest_stamps`."""
    with pq.ParquetFile(scores) as file:
        batches = file.iter_batches(columns=["id", "stamp_sha256"])
        return digest_stamps((batch["id"].to_pylist(), batch["stamp_sha256"].to_pylist()) for batch in batches)


def digest_source(source: NightSource) -> str:
    """Return the digest of the candidates of a source, see `digest_stamps`; every stamp is read."""
    blocks = ((block.ids, pixel_digests(block.stamps)) for block in source.blocks())
    return digest_stamps(_first_of_each(blocks) if isinstance(source, RecordNight) else blocks)


def digest_stamps(blocks: Iterable[tuple[list[str], list[str]]]) -> str:
    """Return the sha256 over id and stamp digest of every candidate, in order."""
    total = hashlib.sha256()
    for ids, stamps in blocks:
        total.update("".join(f"{name} {stamp}\n" for name, stamp in zip(ids, stamps, strict=True)).encode())
    return total.hexdigest()


def _first_of_each(blocks: Iterable[tuple[list[str], list[str]]]) -> Iterable[tuple[list[str], list[str]]]:
    """Yield the blocks without the further rows of an id, which are scored once (`tasks.night.repetitions`)."""
    seen: set[str] = set()
    for ids, stamps in blocks:
        kept = []
        for name, stamp in zip(ids, stamps, strict=True):
            if name not in seen:
                seen.add(name)
                kept.append((name, stamp))
        yield [name for name, _ in kept], [stamp for _, stamp in kept]
