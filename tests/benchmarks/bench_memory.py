"""Peak memory of building and of training, for a dataset and for one ten times as large."""

import tempfile
from pathlib import Path

from tests.benchmarks.scene import PeakMemory, command, finish, flow_words, start, write_csv, write_pictures

SMALL, LARGE = 4_000, 40_000
SIZE_PX = 128
SCHEME = "gz1-majority-2class"


def run(small: int = SMALL, large: int = LARGE) -> dict[str, float]:
    """Return peaks in MB, summed over the command's processes, and the ratios large / small."""
    with tempfile.TemporaryDirectory() as name:
        peaks = {count: _peaks(Path(name) / str(count), count) for count in (small, large)}
    figures = {f"{stage}_{count}_mb": peaks[count][stage] for stage in ("build", "train") for count in peaks}
    ratios = {f"{stage}_ratio": peaks[large][stage] / peaks[small][stage] for stage in ("build", "train")}
    return {**figures, **ratios}


def _peaks(folder: Path, count: int) -> dict[str, float]:
    names = [f"{587722981741363294 + number}" for number in range(count)]
    write_pictures(folder / "images", names, SIZE_PX)
    rows = [(name, ("elliptical", "clockwise")[number % 2]) for number, name in enumerate(names)]
    labels = write_csv(folder / "labels.csv", ("OBJID", "gz1_majority"), rows)
    build = flow_words(
        "build-galaxy-dataset",
        dataset="bench",
        source="archive",
        catalog=labels,
        images=folder / "images",
        scheme=SCHEME,
        size_px=SIZE_PX,
    )
    train = flow_words("train-galaxy", dataset="bench", preset="deck", epochs=1)
    try:
        return {"build": _peak(folder / "workspace", build), "train": _peak(folder / "workspace", train)}
    finally:
        command(folder / "workspace", "down")


def _peak(workspace: Path, words: list[str]) -> float:
    process = start(workspace, *words)
    memory = PeakMemory(process.pid)
    finish(process, workspace)
    return memory.stop()
