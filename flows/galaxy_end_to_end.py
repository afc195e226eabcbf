"""The whole galaxy chain: build a dataset, train on it, evaluate on its holdout."""

import inspect
from typing import Any

from prefect import flow

from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.evaluate_holdout import evaluate_holdout
from flows.train_galaxy import train_galaxy

STAGES = (build_galaxy_dataset, train_galaxy)


def _chain(**parameters: Any) -> dict[str, Any]:
    """Return the summaries of build, train and evaluate."""
    build, train = ({name: parameters[name] for name in inspect.signature(stage.fn).parameters} for stage in STAGES)
    built = build_galaxy_dataset(**build)
    trained = train_galaxy(**train)
    evaluated = evaluate_holdout(model=trained["run_id"], dataset=built["dataset"], scheme=parameters["scheme"])
    return {"build": built, "train": trained, "evaluate": evaluated}


# Its parameters are those of its stages, so they are not written out a second time; where both have one of a
# name, build's default counts.
_chain.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    list(
        {
            parameter.name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for stage in reversed(STAGES)
            for parameter in inspect.signature(stage.fn).parameters.values()
        }.values()
    )
)

galaxy_end_to_end = flow(
    name="galaxy-end-to-end", description="Build a galaxy dataset, train on it, evaluate on its holdout"
)(_chain)
