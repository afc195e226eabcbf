"""Subjects of the flows' parameters, in the order of Prefect's form, of the help and of the signatures."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field

Function = TypeVar("Function", bound=Callable[..., Any])

OTHER = "Parameters"
SUBJECTS: dict[str, tuple[str, ...]] = {
    "Data": (
        *("problem", "dataset", "test_dataset", "name", "tables", "catalog", "metadata", "columns", "galaxy_catalog"),
        *("source", "path", "night", "part", "split", "scheme", "schemes", "classes", "labels", "queue", "predictions"),
        *("label_column", "group_column", "known_objects", "known_without_epoch", "radius_arcsec", "limit", "count"),
        *("real_share", "objects", "sizes", "reals", "bogus", "fresh_reals", "draws", "leave_out_night"),
    ),
    "Images": (
        *("images", "mapping", "formats", "size_px", "request_px", "crop_fraction", "field", "scale_arcsec_per_px"),
        *("stamp_px", "height_px", "width_px", "grey"),
    ),
    "Cutout service": ("service_url", "release", "max_rate_per_s", "max_connections"),
    "Simulated survey": (
        *("chips", "visits", "revisits", "scene_transients", "diversity", "seeing_arcsec", "randomisation"),
        "conditions",
    ),
    "Injection": (
        *("injections_per_visit", "injection_rounds", "galaxy_fraction", "variable_fraction", "balance", "spoil"),
    ),
    "Model": (
        *("model", "first", "against", "network", "networks", "size", "profile", "preset", "arms", "ablation"),
        *("hierarchical", "treatment", "detector", "normalisation", "weights", "start", "methods"),
    ),
    "Method": ("engine", "threshold_sigma", "threshold", "tpr", "max_candidates", "night_prior", "verdicts", "explain"),
    "Training": (
        *("loss_ce", "loss_ech", "loss_lds", "smoothness", "optimizer", "keep", "folds", "scored_folds", "epochs"),
        *("batch_size", "device"),
    ),
    "Wrong labels": (
        *("matched", "uniform", "bounded", "one_sided", "rule", "suspect_threshold", "handling", "handlings"),
        *("suspect_injections", "suspect_weight", "recurrence", "rounds", "most_of_stratum", "most_wrong", "stage"),
        *("per_bin", "answers"),
    ),
    "Decision": (
        *("retrain_every", "relabel_every", "margin", "tolerance", "cooldown_nights", "shadow_nights", "reason", "by"),
        "last",
    ),
    "Checks": ("min_stored_fraction", "allow_mixed", "retry_rejected", "verify_existing"),
    "Kept": ("budget_gb", "keep_days", "keep_versions", "keep_nights"),
    "Run": ("max_catch_up", "quiet_s", "timezone", "only_stale", "skip_absent", "plan_only", "steps", "seeds", "seed"),
}
"""Subject -> its parameters, whichever flow has them."""

_SUBJECT_OF = {name: subject for subject, names in SUBJECTS.items() for name in names}


def subject_of(name: str) -> str:
    """Return the subject of a flow's parameter, `OTHER` for one that no subject lists."""
    return _SUBJECT_OF.get(name, OTHER)


def by_subject(function: Function) -> Function:
    """Put the subject before the name of every parameter in Prefect's form, as its title."""
    titled = {
        name: Annotated[kind, _title(name)] for name, kind in function.__annotations__.items() if name != "return"
    }
    function.__annotations__.update(titled)
    return function


@cache
def _title(name: str) -> Any:
    """Return the field of a title, the same one in every flow, so that equal parameters have equal types."""
    return Field(json_schema_extra={"title": f"{subject_of(name)}: {name}"})
