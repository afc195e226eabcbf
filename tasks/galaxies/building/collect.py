"""Collection of cutouts from a service over HTTP, or from a folder or zip of images.

This runs on the workers; it imports no Prefect, so that a worker starts fast.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from galaxy.images import cutouts
from galaxy.images.file_formats import ImageFaultError
from galaxy.images.image_files import read_image_file
from tasks.archives.archive_files import ArchiveFileError, open_archive
from tasks.http.client import BodyLimit, Fetcher, ServiceResponse, refuse_status
from tasks.http.rate_budget import RateBudget
from tasks.http.refusals import RefusedError
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.raw import RawBytes, StoredAnswer, open_raw
from tasks.store.schema import LEDGER, REJECTED, STORED
from tasks.store.staging import Staging

if TYPE_CHECKING:
    from tasks.galaxies.building.plan import GalaxyPlan

LEDGER_COLUMNS = pa.schema(
    [
        *LEDGER,
        pa.field("redshift", pa.float64()),
        pa.field("r_mag", pa.float64(), metadata={b"unit": b"mag"}),
        pa.field("petro_r90_arcsec", pa.float64(), metadata={b"unit": b"arcsec"}),
        pa.field("scale_arcsec_per_px", pa.float64(), metadata={b"unit": b"arcsec/px"}),
        pa.field("width_arcsec", pa.float64(), metadata={b"unit": b"arcsec"}),
        pa.field("clipped", pa.bool_()),
        pa.field("enlarged", pa.bool_()),
        pa.field("blank_fraction", pa.float64()),
        pa.field("mean", pa.float64()),
        pa.field("std", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Received:
    """One object's image, or the reason why there is none.

    Attributes
    ----------
    pixels : (height, width, 3) uint8, optional
    raw_sha256 : str, optional
        Digest of the received bytes, kept also where they are no usable image.
    reason : str, optional
    attempts : int
        Requests sent; 0 if the answer was in the raw store.
    parameters : dict
        Of the request; of an archive the file, and what was converted (`galaxy.images.image_files.Picture`).
    """

    pixels: np.ndarray | None = None
    raw_sha256: str | None = None
    reason: str | None = None
    attempts: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceSource:
    """A cutout service.

    Attributes
    ----------
    source : str
        ``sdss``, ``legacy`` or ``simulated``.
    identity : str
        Name of the sky in the raw store: the address of a service, or the simulated sky's own name, because its
        address changes from run to run.
    service_url, release : str
    request_px : int
        Width of the requested images.
    max_rate_per_s : float, optional
        Requests per second to the host; None sets no limit.
    raw, budget : Path or ObjectFolder
        Places of the raw store and of the hosts' rate budgets.
    retry_rejected : bool
        Requests also the images that the service refused for good.
    """

    source: str
    identity: str
    service_url: str
    release: str
    request_px: int
    max_rate_per_s: float | None
    raw: Path | ObjectFolder
    budget: Path | ObjectFolder
    retry_rejected: bool = False

    def narrowed(self, ids: Iterable[str]) -> "ServiceSource":
        """Return the source restricted to the objects `ids`, to keep a worker's batch small."""
        return self

    @contextmanager
    def reader(self, connections: int) -> Iterator[Callable[[dict[str, Any]], Received]]:
        """Open pooled connections and yield a function from an object's row to its image."""
        host = urlsplit(self.service_url).hostname or ""
        fetcher = Fetcher(RateBudget(self.budget, host, self.max_rate_per_s), connections)
        raw = open_raw(self.raw)
        try:
            yield lambda row: self._get(row, fetcher, raw)
        finally:
            fetcher.close()

    def _get(self, row: dict[str, Any], fetcher: Fetcher, raw: RawBytes) -> Received:
        frame = cutouts.SkyPatch(
            row["ra_deg"], row["dec_deg"], row["scale_arcsec_per_px"], self.request_px, row["clipped"]
        )
        address, parameters = cutouts.service_request(self.source, self.service_url, self.release, frame)
        key = cutouts.request_key(self.identity, urlsplit(address).path, parameters)
        stored = raw.answer(key)
        if stored is not None and not (stored.reason and self.retry_rejected):
            return self._from_store(stored, parameters)
        decoded: list[np.ndarray] = []
        refused: dict[str, bytes] = {}  # by reason, since another attempt may have another

        def check(answer: ServiceResponse) -> None:
            refuse_status(answer)
            try:
                cutouts.check_markers(answer.media_type, answer.body)
                decoded[:] = [cutouts.decode(answer.body, self.request_px)]
            except ImageFaultError as fault:
                refused[str(fault)] = answer.body
                raise RefusedError(str(fault)) from fault

        outcome = fetcher.fetch(address, parameters, check, self._body_limit())
        if outcome.answer is None:
            kept = _keep(refused.get(str(outcome.reason), b""), raw)
            if not outcome.transient:
                raw.put_refusal(key, str(outcome.reason), kept)
            return Received(None, kept, outcome.reason, outcome.attempts, parameters)
        sha256 = raw.put_answer(key, outcome.answer.body)
        return Received(decoded[0], sha256, None, outcome.attempts, parameters)

    def _body_limit(self) -> BodyLimit:
        most = cutouts.most_answer_bytes(self.request_px)
        return BodyLimit(most, f"too_large:over_{most}_bytes_for_{self.request_px}_px")

    def _from_store(self, stored: StoredAnswer, parameters: dict[str, Any]) -> Received:
        if stored.reason is not None or stored.content is None:
            return Received(None, stored.sha256, stored.reason, parameters=parameters)
        return Received(cutouts.decode(stored.content, self.request_px), stored.sha256, parameters=parameters)


@dataclass(frozen=True)
class ArchiveSource:
    """A folder or a zip of images.

    Attributes
    ----------
    path : Path
    members : dict
        Id -> path of the image inside.
    raw : Path or ObjectFolder
        Place of the raw store.
    faults : dict
        Id -> what the archive has instead of an image, for objects whose file is known to be none.
    """

    path: Path
    members: dict[str, str]
    raw: Path | ObjectFolder
    faults: dict[str, Received] = field(default_factory=dict)

    def narrowed(self, ids: Iterable[str]) -> "ArchiveSource":
        """Return the source restricted to the objects `ids`, to keep a worker's batch small."""
        wanted = list(ids)
        members = {sample_id: self.members[sample_id] for sample_id in wanted if sample_id in self.members}
        faults = {sample_id: self.faults[sample_id] for sample_id in wanted if sample_id in self.faults}
        return replace(self, members=members, faults=faults)

    @contextmanager
    def reader(self, connections: int) -> Iterator[Callable[[dict[str, Any]], Received]]:
        """Open the archive and yield a function from an object's row to its image; `connections` is ignored."""
        raw = open_raw(self.raw)
        with open_archive(self.path) as read:
            yield lambda row: self._get(row, raw, read)

    def _get(self, row: dict[str, Any], raw: RawBytes, read: Callable[[str], bytes]) -> Received:
        member = self.members.get(row["id"])
        if member is None:
            return self.faults.get(row["id"], Received(reason="no_image"))
        parameters: dict[str, Any] = {"file": member}
        try:
            content = read(member)
        except ArchiveFileError as fault:
            return Received(reason=str(fault), attempts=1, parameters=parameters)
        try:
            picture = read_image_file(content)
        except ImageFaultError as fault:
            return Received(None, _keep(content, raw), str(fault), attempts=1, parameters=parameters)
        return Received(picture.pixels, raw.put(content), attempts=1, parameters=parameters | picture.conversions)


def _keep(content: bytes, raw: RawBytes) -> str | None:
    """Keep bytes that are no usable image, to be looked at; None without any."""
    return raw.put(content) if content else None


Source = ServiceSource | ArchiveSource


@dataclass(frozen=True)
class CutoutBatch:
    """A fixed list of objects for one task.

    Attributes
    ----------
    number : int
        The batch's place in the plan.
    rows : Table
        The plan's rows of its objects.
    source : ServiceSource or ArchiveSource
    source_name : str
        As the ledger records it.
    staging : Staging
        Where samples and ledger rows are written.
    size_px : int
        Width and height of a sample.
    crop_fraction : float
        Share of an image's width that is kept.
    connections : int
        Requests under way at once.
    """

    number: int
    rows: pa.Table
    source: Source
    source_name: str
    staging: Staging
    size_px: int
    crop_fraction: float
    connections: int


def unfinished_batches(plan: "GalaxyPlan", source: Source, connections: int) -> Iterator[CutoutBatch]:
    """Yield the plan's batches that staging does not hold yet; `connections` is the number of requests under way."""
    requested = plan.asked
    for number, start, stop in plan.unfinished_spans():
        # A copy of a batch's rows: a slice would carry the whole table along to a worker.
        rows = requested.take(pa.array(range(start, stop), pa.int64()))
        yield CutoutBatch(
            number=number,
            rows=rows,
            source=source.narrowed(rows["id"].to_pylist()),
            source_name=plan.source,
            staging=plan.staging,
            size_px=plan.size_px,
            crop_fraction=plan.crop_fraction,
            connections=connections,
        )


def collect_batch(batch: CutoutBatch) -> dict[str, int]:
    """Get every image of a batch, write samples and ledger rows into staging, and return the counts.

    Returns
    -------
    dict
        ``objects``, ``stored``, and ``requests`` sent to a service.
    """
    with batch.source.reader(batch.connections) as read, ThreadPoolExecutor(2 * batch.connections) as pool:
        finished = list(pool.map(lambda row: _finish(row, read(row), batch), batch.rows.to_pylist()))
    samples = [sample for _, sample in finished if sample is not None]
    shape = (0, batch.size_px, batch.size_px, 3)
    ledger = pa.Table.from_pylist([row for row, _ in finished], LEDGER_COLUMNS)
    batch.staging.write(batch.number, ledger, np.stack(samples) if samples else np.zeros(shape, np.uint8))
    return {
        "objects": len(finished),
        "stored": len(samples),
        "requests": sum(row["attempts"] for row, _ in finished) if isinstance(batch.source, ServiceSource) else 0,
    }


def _finish(row: dict[str, Any], received: Received, batch: CutoutBatch) -> tuple[dict[str, Any], np.ndarray | None]:
    """Return an object's ledger row and its sample (size, size, 3) uint8, or None if it has none."""
    ledger = {name: row.get(name) for name in LEDGER_COLUMNS.names} | {
        "source": batch.source_name,
        "parameters": json.dumps(received.parameters, sort_keys=True),
        "attempts": received.attempts,
        "raw_sha256": received.raw_sha256,
        "finished_at": datetime.now(UTC),
    }
    if received.pixels is None:
        return ledger | {"status": REJECTED, "reason": received.reason}, None
    sample, enlarged = cutouts.to_sample(received.pixels, batch.size_px, batch.crop_fraction)
    ledger |= {"status": STORED, "enlarged": enlarged, "pixel_sha256": cutouts.pixel_sha256(sample)}
    return ledger | cutouts.sample_statistics(sample), sample
