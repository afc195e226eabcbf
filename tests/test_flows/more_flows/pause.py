"""A flow that prints, starts a child and waits: what the command must keep in order."""

import subprocess
import time
from typing import Annotated, Any

from prefect import flow, task
from pydantic import Field

from flows.cli.parameter_types import param
from flows.cli.run_page import run_page


@task
def count_up(number: int) -> int:
    print("printed by a stage")
    subprocess.run(["echo", "printed by a child"], check=True)
    return number + 1


@flow(name="pause", **run_page("text", "number"))
def pause(
    text: Annotated[str, param("Any words")] = "",
    number: Annotated[int, Field(ge=0)] = 0,
    seconds: float = 0.0,
    failure: str | None = None,
) -> dict[str, Any]:
    """Wait, with a child process beside."""
    result = count_up(number)
    if seconds:
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        time.sleep(seconds)
    if failure:
        raise ValueError(failure)
    return {"text": text, "number": result}
