"""Judging a registered model on a dataset's holdout.

TensorFlow takes long to import, so it is imported inside the task.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.evaluation import evaluate_candidates
from tasks.galaxies.evaluation import evaluate_model
from tasks.learning.checkpoints import CURVES
from tasks.learning.training_overlap import MEMBERS_FILE
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import ModelRef, metric_history, open_run, resolve_model
from tasks.training.evaluation_record import EvaluationError
from tasks.training.training_task import quiet_tensorflow

CANDIDATES = "realbogus"
JUDGES: dict[str, Callable[..., dict[str, Any]]] = {"galaxy": evaluate_model, CANDIDATES: evaluate_candidates}


@task(
    name="evaluate",
    description="Judge a registered model on a part of a dataset, write the report",
    cache_policy=NO_CACHE,
)
def evaluate(
    workspace: Workspace,
    model: str,
    dataset: str,
    scheme: str | None,
    part: str,
    against: str | None = None,
    verdicts: str | None = None,
) -> dict[str, Any]:
    """Judge the model that ``model`` names, and return the summary; the model's own scheme where none is named.

    Of candidates, ``against`` names a second model, which is judged on the same rows, and ``verdicts`` a table of what
    people say of the bogus that pass.
    """
    quiet_tensorflow()
    from tasks.learning.saved_models import load_model

    opened = Dataset.open(workspace, dataset)
    if not opened.schemes:
        raise EvaluationError(f"dataset {opened.name!r} version {opened.version} has no labels: build it with a scheme")
    problem = opened.manifest["problem"]
    registered = registered_name(problem, scheme or opened.schemes[0])
    ref = resolve_model(workspace, model, registered)
    network, card = load_model(ref.folder)
    for name, value in (("against", against), ("verdicts", verdicts)):
        if value is not None and problem != CANDIDATES:
            raise EvaluationError(f"{name}={value} goes with a dataset of {CANDIDATES}, not of {problem}")
    more: dict[str, Any] = {}
    if verdicts is not None:
        more["verdicts"] = Path(verdicts).expanduser()
    if against is not None:
        second = resolve_model(workspace, against, registered)
        more["against"] = (f"{second.name} {second.version}", load_model(second.folder)[0])
    judged_by = scheme or str(card["scheme"])
    kept = ref.folder / MEMBERS_FILE
    with open_run(
        workspace,
        problem=problem,
        run_name=f"evaluate {ref.name} {ref.version} on {opened.name}@{opened.version} {part}",
        params={"model": ref.uri, "dataset": f"{opened.name}@{opened.version}", "scheme": judged_by, "part": part},
        tags=_tags(opened, judged_by, ref, card),
        dataset=opened,
    ) as run:
        summary = JUDGES[problem](
            workspace,
            opened,
            network,
            card,
            part,
            judged_by,
            metric_history(workspace, ref.run_id, CURVES),
            run,
            members=pq.read_table(kept) if kept.is_file() else None,
            **more,
        )
    return {
        "model": ref.uri,
        "dataset": f"{opened.name}@{opened.version}",
        "scheme": judged_by,
        "split": part,
    } | summary


def registered_name(problem: str, scheme: str) -> str:
    """Return the name under which models of a problem and scheme are registered."""
    return f"galaxy-{scheme}" if problem == "galaxy" else problem


def _tags(dataset: Dataset, scheme: str, ref: ModelRef, card: Mapping[str, Any]) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "kind": "evaluation",
        "mlflow.parentRunId": ref.run_id,  # the page shows it below the training it judges
        "pixels": manifest["pixels"],
        "labels": manifest["label_kind"],
        "scheme": scheme,
        "split_hash": manifest["split_hash"],
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset_digest": dataset.digest,
        "model": ref.uri,
        "model_sha256": card["sha256"],
        "code_version": code_version(),
    }
