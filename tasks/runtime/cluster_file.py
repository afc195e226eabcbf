"""Cluster files: a Dask cluster that a flow starts on a queue of jobs or on Kubernetes, and ends with its work.

A file has three entries: what starts the workers, how many, and the settings of that, which are passed on unchanged to
`dask-jobqueue` or `dask-kubernetes`:

    kind = "slurm"
    workers = 64

    [settings]
    cores = 1
    memory = "4 GB"
    walltime = "04:00:00"
"""

import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from distributed import Client
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.runtime.validation_faults import validation_faults

SUFFIX = ".toml"
Kind = Literal["slurm", "pbs", "kubernetes", "processes"]


class ClusterFileError(RuntimeError):
    """A cluster file cannot be used; the message names it and says what to do."""


class ClusterFile(BaseModel):
    """What a cluster file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    """``processes``: on this machine, by the same means as on a queue, to try a file out."""
    workers: int = Field(ge=1)
    """Worker processes that are asked for; work begins with the first."""
    wait_s: float = Field(default=3600.0, gt=0)
    """Seconds without any worker, such as in a queue, after which a run is given up."""
    settings: dict[str, Any] = {}
    """Arguments of the class that starts the workers."""


@dataclass(frozen=True)
class _Starter:
    module: str
    name: str
    extra: str


_STARTERS: dict[Kind, _Starter] = {
    "slurm": _Starter("dask_jobqueue", "SLURMCluster", "jobqueue"),
    "pbs": _Starter("dask_jobqueue", "PBSCluster", "jobqueue"),
    "kubernetes": _Starter("dask_kubernetes.operator", "KubeCluster", "kubernetes"),
    "processes": _Starter("dask_jobqueue.local", "LocalCluster", "jobqueue"),
}


def read_cluster_file(path: Path) -> ClusterFile:
    """Return what a cluster file says.

    Raises
    ------
    ClusterFileError
        It cannot be read, or says something else.
    """
    try:
        return ClusterFile(**tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ClusterFileError(
            f"the cluster file {path} cannot be read ({error.strerror}): correct its path"
        ) from error
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise ClusterFileError(f"the cluster file {path} is no TOML ({error}): correct it") from error
    except ValidationError as error:
        raise ClusterFileError(
            f"the cluster file {path} does not fit ({validation_faults(error)}): it has kind "
            f"({', '.join(get_args(Kind))}), workers, wait_s and [settings]"
        ) from error


def load_starter(path: Path, file: ClusterFile) -> Any:
    """Return the class that starts the workers of a cluster file.

    Raises
    ------
    ClusterFileError
        Its package is not installed.
    """
    starter, interrupted = _STARTERS[file.kind], signal.getsignal(signal.SIGINT)
    try:
        return getattr(import_module(starter.module), starter.name)
    except ImportError as error:
        raise ClusterFileError(
            f"{path} wants kind={file.kind}, whose package is absent ({error}): pip install 'starloom[{starter.extra}]'"
        ) from error
    finally:
        signal.signal(signal.SIGINT, interrupted)  # dask-jobqueue 0.9 takes Ctrl-C for itself when it is imported


@contextmanager
def started_cluster(path: Path, file: ClusterFile) -> Iterator[Client]:
    """Start the scheduler of a cluster file and ask for its workers; wait for none, and end all with the block.

    Raises
    ------
    ClusterFileError
        The scheduler cannot be started with the file's settings, or its workers not be asked for.
    """
    start = load_starter(path, file)
    try:
        running = start(**file.settings)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise ClusterFileError(f"{path}: {start.__name__} does not start ({why}): correct [settings]") from error
    with running, Client(running) as client:
        running.scale(file.workers)
        yield client
