"""Cluster files: what they say wrongly is named; on a queue's local mode they start workers and replace them."""

import os
import signal
import time
from pathlib import Path

import pytest

from tasks.doctor.service_checks import check_dask
from tasks.runtime.cluster import ADDRESS_ENVIRONMENT_NAME, ITEMS_WORTH_A_CLUSTER, cluster
from tasks.runtime.cluster_file import ClusterFileError, load_starter, read_cluster_file
from tests.dask_processes import PATIENCE_S

# The local mode of dask-jobqueue leaves pipes and processes of its workers to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
EXAMPLES = Path(__file__).parents[3] / "docs" / "guide" / "clusters"


def write(folder: Path, text: str) -> Path:
    path = folder / "cluster.toml"
    path.write_text(text)
    return path


def end_oneself_at_first(folder: str) -> int:
    """Die as a job whose time is over, the first time; return the process that lives."""
    try:
        Path(folder, "died").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(0.1)
        return os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


def test_workers_of_a_file_are_started_and_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = write(
        tmp_path,
        'kind = "processes"\nworkers = 2\nwait_s = 300\n[settings]\ncores = 1\nprocesses = 1\nmemory = "1 GB"\n'
        f'nanny = false\nlocal_directory = "{tmp_path / "elsewhere"}"\n'
        'scheduler_options = {dashboard_address = "127.0.0.1:0"}\n',
    )
    monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, str(path))
    with cluster(ITEMS_WORTH_A_CLUSTER) as executor:
        assert executor.workers == 2
        pids = list(executor.map(end_oneself_at_first, [str(tmp_path)] * 40))
        executor.rest()  # a place in a queue is not given up
        deadline, later = time.monotonic() + PATIENCE_S, set[int]()
        while len(later) < 2 and time.monotonic() < deadline:
            later = set(executor.map(end_oneself_at_first, [str(tmp_path)] * 8))
    assert len(pids) == 40
    assert os.getpid() not in pids
    assert len(later) == 2
    assert later & set(pids)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('kind = "sge"\nworkers = 1\n', "kind: Input should be 'slurm', 'pbs', 'kubernetes' or 'processes'"),
        ('kind = "pbs"\n', "workers: Field required"),
        ('kind = "pbs"\nworkers = 0\n', "workers: Input should be greater than or equal to 1"),
        ('kind = "pbs"\nworkers = 1\ncores = 2\n', "cores: Extra inputs are not permitted"),
        ("kind: slurm", "is no TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path: Path, text: str, fault: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ClusterFileError) as refusal:
        read_cluster_file(path)
    assert str(path) in str(refusal.value)
    assert fault in str(refusal.value)
    assert check_dask(str(path)).state == "problem"


def test_settings_that_the_starter_refuses_and_an_absent_file_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, 'kind = "processes"\nworkers = 1\n[settings]\nmemory = "1 GB"\n')
    monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, str(path))
    with pytest.raises(ClusterFileError, match=r"cluster\.toml: LocalCluster does not start .*cores"):
        cluster(ITEMS_WORTH_A_CLUSTER).__enter__()
    with pytest.raises(ClusterFileError, match=r"absent\.toml cannot be read \(No such file"):
        read_cluster_file(tmp_path / "absent.toml")


@pytest.mark.parametrize("kind", ["slurm", "pbs"])
def test_a_documented_file_makes_a_job_script_of_its_settings(kind: str) -> None:
    path = EXAMPLES / f"{kind}.toml"
    file = read_cluster_file(path)
    assert file.kind == kind
    assert check_dask(str(path)).state == "ok"
    before = signal.getsignal(signal.SIGINT)
    starter = load_starter(path, file)
    assert signal.getsignal(signal.SIGINT) is before  # else Ctrl-C would end a run without its exit code
    here = {"interface": "lo", "scheduler_options": {"dashboard_address": "127.0.0.1:0"}}
    with starter(**file.settings | here) as there:
        script = there.job_script()
    assert f"{file.settings['walltime']}" in script
    assert file.settings["queue"] in script
    assert all(line in script for line in file.settings["job_script_prologue"])
    assert "--nthreads 1" in script


def test_a_documented_file_for_kubernetes_is_read() -> None:
    file = read_cluster_file(EXAMPLES / "kubernetes.toml")
    assert file.kind == "kubernetes"
    assert {"name", "image", "namespace"} <= file.settings.keys()
