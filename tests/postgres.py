"""A PostgreSQL server of Debian's package, and the servers of a group on it, which a test starts and ends."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.runtime.addresses import web_fault
from tasks.tracking.database import SERVER_WORDS
from tests.server_process import Server, free_port

PASSWORD = "pass-not-to-be-shown"


@dataclass(frozen=True)
class Postgres:
    """A server on loopback, whose one user ``group`` has the password `PASSWORD`."""

    port: int
    server: Server

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """Return the address of a database, with the password."""
        return f"{scheme}://group:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, extensions: Sequence[str] = ()) -> None:
        """Create a database as the guide has it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for extension in extensions:
                connection.execute(f"CREATE EXTENSION {extension}")


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Run a server on a temporary folder; the test is skipped where the package is absent."""
    if (missing := missing_postgres()) is not None:
        pytest.skip(missing)
    (programs,) = _programs()
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # as which PostgreSQL refuses to run
        entry = pwd.getpwnam("postgres")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="starloom-postgres-"))  # pytest's own folders are closed to other users
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        words = ["-U", "group", "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", *words], check=True, capture_output=True, cwd=folder, **user
        )
        port = free_port()
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        command = [programs / "postgres", "-D", folder / "data", *(word for each in settings for word in ("-c", each))]
        address = f"postgresql://group:{PASSWORD}@127.0.0.1:{port}/postgres"
        settings_of_process = {"cwd": folder, **user}
        with Server(command, folder / "log", lambda: psycopg.connect(address).close(), settings_of_process) as server:
            server.wait()
            yield Postgres(port, server)
    finally:
        shutil.rmtree(folder)


def missing_postgres() -> str | None:
    """Return why no server can be run here."""
    if not _programs():
        return "PostgreSQL is absent: apt-get install postgresql"
    if os.getuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


def _programs() -> list[Path]:
    """Return the folder of the server's programs, which Debian keeps out of the search path; none if it is absent."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).parent] if found else []
    return [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()][:1]


@dataclass(frozen=True)
class GroupServers:
    """The addresses of a group's servers, Prefect's API and MLflow, and the process of the latter."""

    prefect: str
    mlflow: str
    tracking: Server


@contextlib.contextmanager
def group_servers(postgres: Postgres, folder: Path) -> Iterator[GroupServers]:
    """Run a group's Prefect and MLflow servers as the guide has them."""
    postgres.create("prefect", ["pg_trgm"])
    postgres.create("mlflow")
    ports = [str(free_port()) for _ in range(2)]
    commands = {
        "prefect": ["server", "start", "--host", "127.0.0.1", "--port", ports[0]],
        "mlflow": [*SERVER_WORDS, "--artifacts-destination", str(folder / "artifacts"), "--port", ports[1]],
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STARLOOM_"))}
    environment = kept | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url("prefect", "postgresql+asyncpg"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_BACKEND_STORE_URI": postgres.url("mlflow", "postgresql+psycopg"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with contextlib.ExitStack() as stack:
        servers = {
            name: Server(
                [sys.executable, "-m", name, *words],
                folder / f"{name}.log",
                partial(_require_answer, f"http://127.0.0.1:{port}", path),
                {"env": environment, "cwd": folder},
            )
            for (name, words), port, path in zip(commands.items(), ports, ("/api/health", "/health"), strict=True)
        }
        for server in servers.values():
            stack.enter_context(server)
        for server in servers.values():
            server.wait()
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        yield GroupServers(f"{urls[0]}/api", urls[1], servers["mlflow"])


def _require_answer(url: str, path: str) -> None:
    if (fault := web_fault(url, path)) is not None:
        raise ConnectionError(fault)
