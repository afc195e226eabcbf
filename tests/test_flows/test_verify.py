"""A changed byte of a dataset ends what reads it, by name; the flow `verify` and a build that is asked to find it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.evaluate_holdout import evaluate_holdout
from flows.export_dataset import export_dataset
from flows.score_night import score_night
from flows.train_realbogus import train_realbogus
from flows.verify import verify
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DamagedPixelsError, DamagedVersionError
from tests.test_flows.conftest import write_triplets

LABELS = np.array(["real", "bogus"] * 40)


def build(folder: Path, name: str = "stamps", **more: Any) -> dict[str, Any]:
    return build_realbogus_dataset(dataset=name, source="triplets", path=str(folder), **more)


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 16
    path.write_bytes(content)


def test_what_reads_a_changed_byte_fails_and_names_it(flows_here: Workspace, tmp_path: Path) -> None:
    built = build(write_triplets(tmp_path / "made", LABELS))
    model = train_realbogus(dataset="stamps", network="simple", epochs=1, batch_size=16)
    shard = Dataset.open(flows_here, "stamps").pixels.shard_file(0)
    flip(shard, 0.1)
    readers = {
        "training": lambda: train_realbogus(dataset="stamps", network="simple", epochs=1, batch_size=16, seed=5),
        "evaluation": lambda: evaluate_holdout(model=model["run_id"], dataset="stamps"),
        "scoring": lambda: score_night(path="stamps", model=model["run_id"], first=None),
        "export": lambda: export_dataset(dataset="stamps"),
    }
    for name, read in readers.items():
        with pytest.raises(DamagedPixelsError) as caught:
            read()
        message = str(caught.value)
        assert message.startswith("dataset 'stamps' version 1: the pixels of rows 0 to 63 cannot be read from "), name
        assert str(Path(built["path"], "pixels.zarr", "pixels", "c", "0")) in message
        assert "`starloom verify stamps@1` lists what is damaged; restore the file" in message


def test_verify_counts_what_it_compared_and_a_build_that_is_asked_refuses_to_add_to_damage(
    flows_here: Workspace, tmp_path: Path
) -> None:
    built = build(write_triplets(tmp_path / "made", LABELS))
    summary = verify(dataset="stamps")
    assert (summary["samples"], summary["pixels_ok"], summary["problems"]) == (built["stored"], built["stored"], [])
    assert (summary["digest_ok"], summary["format_version"]) == (True, 2)
    assert "Everything is as it was written." in Path(summary["report"]).read_text(encoding="utf-8")
    again = build(tmp_path / "made", verify_existing=True)
    assert (again["version"], again["requests"]) == (1, 0)
    flip(Dataset.open(flows_here, "stamps").pixels.shard_file(0), 0.9)
    later = write_triplets(tmp_path / "later", LABELS[:20], seed=1, prefix="n")
    for find in (lambda: verify(dataset="stamps@1"), lambda: build(later, verify_existing=True)):
        with pytest.raises(
            DamagedVersionError, match=r"dataset 'stamps' version 1 is damaged: .* all problems: "
        ) as caught:
            find()
        page = Path(str(caught.value).rpartition("all problems: ")[2])
        assert "cannot be read from" in page.read_text(encoding="utf-8")
        problems = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["problems"]
        assert len(problems) == 1
    assert Dataset.open(flows_here, "stamps").version == 1
