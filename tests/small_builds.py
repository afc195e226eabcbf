"""Plans and harvests of a build without a problem: what `tasks.building` does can be tested on few rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.building.plan import Plan, begin_plan


class SmallRequest(BaseModel):
    """The parameters that every build has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = "tiny"
    source: str = "made"
    seed: int = 0


def small_plan(
    dataset: Path, request: SmallRequest, scheme: str | None, classes: Sequence[str] = ("E", "S"), **facts: Any
) -> Plan[SmallRequest]:
    """Write the plan of a request into a dataset's staging folder."""
    common = {
        "digest": f"digest-{request.seed}",
        "scheme": None if scheme is None else {"name": scheme, "digest": "0", "classes": list(classes)},
        "parent": None,
        "ask": 1,
        "finished_before": False,
    }
    return Plan(begin_plan(dataset, "plan", request, common | facts), request)
