"""A hidden truth for a dataset of triplets, as a simulated survey has it."""

import pyarrow as pa

from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.locks import one_builder
from tasks.store.versions import NewVersion, publish


def tell_truth(workspace: Workspace, name: str, real: dict[str, bool]) -> None:
    """Publish the dataset once more with a hidden truth, as a simulated survey has it."""
    dataset = Dataset.open(workspace, name)
    ids = dataset.samples(["id"])["id"].to_pylist()
    words = ["real" if real[sample_id] else "bogus" for sample_id in ids]
    truth = pa.table({"id": ids, "truth": words, "origin": ["made"] * len(ids)})
    kept = {key: dataset.manifest[key] for key in dataset.manifest if key not in {"name", "version", "parent"}}
    folder = dataset.path.parents[1]
    with one_builder(folder):
        publish(
            folder,
            NewVersion(
                dataset.samples(), dataset.every_label_table(), dataset.split(), kept, truth, None, lambda _: None
            ),
            dataset,
        )
