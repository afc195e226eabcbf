"""Triplets from memory to validated shards, and shuffled reading against TFRecord, the published way and well built.

Writing goes the way of a build: batches into staging with the digest of every triplet, rows gathered, judged and given
places, shards packed. The rate is of one core's time, and so is that of TFRecord files of the same triplets, written by
turns: gzip of their bytes and nothing else, neither digests nor validation. Reading is from the page cache, as in
`bench_batches`, whose reader of TFRecord is the well-built one; the published repository keeps every value in a list of
floats and parses records one by one.
"""

import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from realbogus.records import BOGUS, DETECTION, RANDOM_INJECTION, REAL, BatchKey, FileSpan, Records, make_records
from tasks.candidates.building.collect import CollectJob, ReadyTriplets, collect_batch
from tasks.candidates.building.staged_rows import LEDGER_COLUMNS, STAGED_COLUMNS
from tasks.store import merging, pixels
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.staging import Staging
from tests.benchmarks.bench_batches import (
    by_turns,
    checksum_cost,
    compared,
    record_batches,
    shards,
    stored,
    written_records,
)

TRIPLETS = 32_768
READ = 8_192
REPEATS = 9
WRITTEN_REPEATS = 5
STAMP_PX = 29
_BATCH_ROWS = 4096
_RECORD_FILES = 8
_PUBLISHED_BATCH = 256
_PUBLISHED_SHUFFLE = 4 * _PUBLISHED_BATCH


def run() -> dict[str, Any]:
    """Measure writing, then the readers side by side."""
    triplets = survey_like(TRIPLETS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "first", triplets[:_BATCH_ROWS])  # imports
        steps, others = [], []
        for turn in range(WRITTEN_REPEATS):
            steps.append(write(folder / f"{turn}", triplets))
            shutil.rmtree(folder / f"{turn}")
            others.append(records_s(folder / f"written{turn}", triplets[:READ]) / READ)
        read = triplets[:READ]
        array = stored(folder / "pixels.zarr", read)
        records = written_records(folder / "records", read)
        floats = written_floats(folder / "floats", read)
        readers = {
            "shards": lambda: shards(array),
            "records": lambda: record_batches(records, read.shape[1:], "float32"),
            "published": lambda: published_batches(floats),
        }
        rates = by_turns(readers, REPEATS)
        cost = checksum_cost(folder / "plain", array, read)
    seconds = [sum(step.values()) / TRIPLETS for step in steps]
    return {
        "written_per_processor_s": 1 / median(seconds),
        "written_times_records": median(other / ours for ours, other in zip(seconds, others, strict=True)),
        **{f"{name}_share": median(step[name] / sum(step.values()) for step in steps) for name in steps[0]},
        **{f"{name}_triplets_per_s": median(run[name].per_s for run in rates) for name in readers},
        **compared("records", rates),
        **compared("published", rates),
        "checksum_cost": cost,
    }


def records_s(folder: Path, triplets: np.ndarray) -> float:
    """Return the processor's seconds for writing triplets as gzip TFRecord files."""
    begin = time.process_time()
    written_records(folder, triplets)
    return time.process_time() - begin


def survey_like(count: int) -> np.ndarray:
    """Return (count, 29, 29, 3) float32: sources on sky noise, whole counts in the new plane as a camera gives them."""
    rng = np.random.default_rng(0)
    steps = np.arange(STAMP_PX) - STAMP_PX // 2
    triplets = np.empty((count, STAMP_PX, STAMP_PX, 3), np.float32)
    for first in range(0, count, _BATCH_ROWS):
        part = triplets[first : first + _BATCH_ROWS]
        noise = rng.standard_normal((2, len(part), STAMP_PX, STAMP_PX), np.float32)
        profile = np.exp(-((steps - rng.uniform(-0.5, 0.5, (len(part), 1))) ** 2) / 5).astype(np.float32)
        source = 10 ** rng.uniform(2, 4, (len(part), 1, 1)).astype(np.float32) * profile[:, :, None] * profile[:, None]
        part[..., 0] = np.rint(1900 + 85 * noise[0] + source)
        part[..., 1] = 1850 + 30 * noise[1]
        part[..., 2] = part[..., 0] - 1.02 * part[..., 1] - 13
    return triplets


class InMemory:
    """A source of records that holds its triplets."""

    def __init__(self, triplets: np.ndarray) -> None:
        self.triplets = triplets

    def batches(self) -> Sequence[BatchKey]:
        """Return one batch for every 4,096 triplets."""
        firsts = range(0, len(self.triplets), _BATCH_ROWS)
        return [BatchKey(f"b{first}", (FileSpan("", first, _BATCH_ROWS),)) for first in firsts]

    def ids(self, batch: BatchKey) -> list[str]:
        """Return the ids of a batch."""
        (part,) = batch.parts
        return [f"{row:032d}" for row in range(part.first, part.first + part.count)]

    def places(self, batch: BatchKey) -> list[str]:
        """Return where each of these records stands: its row."""
        return [f"row {int(row)}" for row in self.ids(batch)]

    def read(self, batch: BatchKey) -> Records:
        """Return the records of a batch."""
        (part,) = batch.parts
        ids, real = self.ids(batch), np.arange(part.count) % 3 == 0
        columns: dict[str, Sequence[Any]] = {
            "id": ids,
            "group": [row_id[:-4] for row_id in ids],
            "ra_deg": [None] * part.count,
            "dec_deg": [None] * part.count,
            "label": np.where(real, REAL, BOGUS).tolist(),
            "kind": np.where(real, RANDOM_INJECTION, DETECTION).tolist(),
            "detector": ["chip00"] * part.count,
            "night": ["00000"] * part.count,
            "parameters": [{}] * part.count,
        }
        return make_records(columns, self.triplets[part.first : part.first + part.count])


def write(folder: Path, triplets: np.ndarray) -> dict[str, float]:
    """Write a dataset's shards and return the processor's seconds of each step."""
    from tasks.building.validate import validate_images

    source, staging, store = InMemory(triplets), Staging(folder / "staging"), folder / "pixels.zarr"
    begin = time.process_time()
    observer = ReadyTriplets(source, seed=0)
    for number, key in enumerate(source.batches()):
        collect_batch(CollectJob(number, key, observer, "triplets", staging))
    staged = time.process_time()
    rows = merging.gather(staging, range(len(source.batches())), STAGED_COLUMNS)
    ledger = merging.merge(None, rows.select([*LEDGER_COLUMNS.names, *merging.PLACE.names]), staging)
    judged = validate_images(ledger, least_finite_fraction=0.0)
    ledger = merging.give_rows(merging.reject(ledger, judged.row_failures), 0)
    validated = time.process_time()
    pixels.create(store, triplets.shape[1:], "float32")
    pixels.grow(pixels.open_array(store, writable=True), ledger.num_rows)
    places = (ledger[name].to_numpy() for name in merging.PLACE.names)
    for job in shard_jobs(store, staging, 0, *places):
        write_shard_job(job)
    packed = time.process_time()
    return {"staging": staged - begin, "judging": validated - staged, "packing": packed - validated}


def written_floats(folder: Path, triplets: np.ndarray) -> list[str]:
    """Write triplets as the published repository does: lists of floats in gzip TFRecord files; return their paths."""
    import tensorflow as tf

    def integer(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    folder.mkdir()
    paths = [str(folder / f"{at}.tfrecord") for at in range(_RECORD_FILES)]
    for at, path in enumerate(paths):
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for row in range(at, len(triplets), _RECORD_FILES):
                features = {
                    "image": tf.train.Feature(float_list=tf.train.FloatList(value=triplets[row].ravel())),
                    "label": integer(row % 2),
                    "detector_id": integer(at),
                    "sample_index": integer(row),
                    "unique_index": integer(row),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return paths


def published_batches(paths: list[str]) -> Iterable[int]:
    """Yield the size of each batch of a reader that parses record by record and shuffles what it has parsed."""
    import tensorflow as tf

    integer = tf.io.FixedLenFeature([], tf.int64)
    features = {
        "image": tf.io.FixedLenFeature([STAMP_PX * STAMP_PX * 3], tf.float32),
        **dict.fromkeys(("label", "detector_id", "sample_index", "unique_index"), integer),
    }

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, features)
        return tf.reshape(parsed["image"], (STAMP_PX, STAMP_PX, 3)), parsed["label"]

    files = tf.data.Dataset.from_tensor_slices(paths)
    parsed = files.interleave(lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP")).map(parse)
    for _, labels in parsed.shuffle(_PUBLISHED_SHUFFLE, seed=0).batch(_PUBLISHED_BATCH):
        yield len(labels)
