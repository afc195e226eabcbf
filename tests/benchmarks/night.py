"""A made night: candidates drawn from a survey, turned, mirrored, moved by parts of a pixel, with noise of their own.

It is a Zarr store in the layout and codec of a dataset's pixels, and beside it ``made.parquet``: which sample each row
came of, and what that truly is. Row ``n`` follows from seed and ``n`` alone, so a night that was cut short goes on,
and a longer one begins with the shorter.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import fft

from realbogus.records import BOGUS, REAL
from tasks.store import pixels
from tasks.store.dataset import Dataset
from tasks.store.files import write_json, write_table
from tasks.store.versions import stored_rows

STORE, MADE, PROGRESS = "night.zarr", "made.parquet", "made.json"
MOST_SHIFT_PX = 0.5
NOISE_SHARE = 0.3
"""Standard deviation of the added noise, in that of the stamp's border."""
_BORDER_PX = 3
_SYMMETRIES = 8
_SHARDS_A_STEP = 100


@dataclass(frozen=True)
class Samples:
    """What a night is drawn from: triplets in memory and what each truly is."""

    ids: NDArray[np.str_]
    stamps: NDArray[np.float32]
    real: NDArray[np.bool_]


def make_night(dataset: Dataset, count: int, seed: int, path: Path, real_share: float = 0.01) -> Path:
    """Make a night of `count` candidates in the folder `path` and return its store; what is there is kept.

    Parameters
    ----------
    dataset : Dataset
        A simulated survey: its hidden truth says what is drawn as real; blends are left out.
    count, seed
    path : Path
    real_share : float
        Share of reals among the candidates.
    """
    store = path / STORE
    if not store.exists():
        pixels.create(store, dataset.pixels.shape[1:], "float32")
    array = pixels.open_array(store, writable=True)
    done = json.loads((path / PROGRESS).read_text(encoding="ascii"))["shards"] if (path / PROGRESS).exists() else 0
    wanted = pixels.shards_for(count)
    drawn = [pq.read_table(path / MADE).slice(0, done * pixels.SHARD_ROWS)] if done else []
    samples = samples_of(dataset) if done < wanted else None
    for shard in range(done, wanted):
        assert samples is not None
        chosen, stamps = made_shard(samples, seed, shard, real_share)
        pixels.grow(array, (shard + 1) * pixels.SHARD_ROWS)
        pixels.write_shard(array, shard * pixels.SHARD_ROWS, stamps)
        drawn.append(pa.table({"id": samples.ids[chosen], "real": samples.real[chosen]}))
        if shard % _SHARDS_A_STEP == _SHARDS_A_STEP - 1 or shard == wanted - 1:
            write_table(path / MADE, pa.concat_tables(drawn))
            write_json(path / PROGRESS, {"shards": shard + 1})
    array.resize((count, *array.shape[1:]))
    return store


def samples_of(dataset: Dataset) -> Samples:
    """Return a dataset's reals and bogus by its hidden truth."""
    truth = dataset.truth()
    if truth is None:
        raise ValueError(f"dataset {dataset.name} has no hidden truth: make a night from a simulated survey")
    table = stored_rows(dataset.samples(["id", "row", "status"])).join(truth, "id").sort_by("row")
    table = table.filter(pc.is_in(table["truth"], value_set=pa.array([REAL, BOGUS])))
    stamps = np.asarray(dataset.pixels[:])[table["row"].to_numpy()]
    return Samples(np.array(table["id"].to_pylist()), stamps, np.array(table["truth"].to_pylist()) == REAL)


def made_shard(samples: Samples, seed: int, shard: int, real_share: float) -> tuple[NDArray, NDArray[np.float32]]:
    """Return which samples are drawn for a shard, and their triplets, altered."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(shard,)))
    wanted = rng.random(pixels.SHARD_ROWS) < real_share
    chosen = np.where(
        wanted,
        rng.choice(np.flatnonzero(samples.real), pixels.SHARD_ROWS),
        rng.choice(np.flatnonzero(~samples.real), pixels.SHARD_ROWS),
    )
    return chosen, altered(samples.stamps[chosen], rng)


def altered(stamps: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return triplets turned or mirrored, moved by up to half a pixel each way, with noise added.

    New and difference get the same noise, the reference its own, so that the difference stays one. NaN stays NaN.
    """
    stamps = turned(stamps, rng.integers(_SYMMETRIES, size=len(stamps)))
    missing = np.isnan(stamps)
    filled = np.where(missing, np.nanmean(stamps, axis=(1, 2), keepdims=True), stamps)
    moved = shifted(filled, rng.uniform(-MOST_SHIFT_PX, MOST_SHIFT_PX, (len(stamps), 2)))
    border = np.ones(moved.shape[1:3], bool)
    border[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = False
    scale = NOISE_SHARE * moved[:, border].std(axis=1)[:, None, None, :2]
    noise = scale * rng.standard_normal((*moved.shape[:3], 2), np.float32)
    moved += np.concatenate([noise, noise[..., :1]], axis=-1)
    moved[missing] = np.nan
    return moved


def turned(stamps: NDArray[np.float32], symmetries: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return each triplet by its own symmetry of the square: quarter turns (0 to 3), or of its mirror (4 to 7)."""
    result = np.empty_like(stamps)
    for symmetry in range(_SYMMETRIES):
        mine = symmetries == symmetry
        mirrored = stamps[mine][:, :, ::-1] if symmetry >= _SYMMETRIES // 2 else stamps[mine]
        result[mine] = np.rot90(mirrored, symmetry % (_SYMMETRIES // 2), axes=(1, 2))
    return result


def shifted(stamps: NDArray[np.float32], shifts_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return triplets moved by (n, 2) pixels in y and x, by phases of their transforms: the noise keeps its texture."""
    side = stamps.shape[1]
    y = np.exp(-2j * np.pi * np.fft.fftfreq(side) * shifts_px[:, :1])[:, :, None, None]
    x = np.exp(-2j * np.pi * np.fft.rfftfreq(side) * shifts_px[:, 1:])[:, None, :, None]
    return fft.irfft2(fft.rfft2(stamps, axes=(1, 2)) * (y * x).astype(np.complex64), (side, side), axes=(1, 2))
