"""The workspace: one folder with all data and state, and the paths in it.

The address of an S3-compatible store, ``s3://BUCKET/PREFIX``, in place of the folder's path puts datasets and raw bytes
there. What has to be files of this machine stays in a local folder of that workspace, its state.
"""

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_NAME = "STARLOOM_WORKSPACE"
STATE_ENVIRONMENT_NAME = "STARLOOM_STATE"
"""Where the local folders of workspaces on an object store are made."""
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/?#\s]+)*/?")


class WorkspaceError(RuntimeError):
    """The workspace cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Workspace:
    """Paths of one workspace; the code that writes into a folder creates it.

    Attributes
    ----------
    root : Path
        The folder of the workspace; with an address, of its state.
    address : str or None
        ``s3://BUCKET/PREFIX``, where datasets and raw bytes are; None: below `root`.
    """

    root: Path
    address: str | None = None

    @classmethod
    def current(cls) -> "Workspace":
        """Return the workspace named by ``STARLOOM_WORKSPACE``, else ``./workspace``."""
        return cls.named(os.environ.get(ENVIRONMENT_NAME) or "workspace")

    @classmethod
    def named(cls, name: str) -> "Workspace":
        """Return the workspace in the folder of that path, or at that address of an object store.

        Raises
        ------
        WorkspaceError
            It is no ``s3://BUCKET/PREFIX``, but another address.
        """
        if "://" not in name:
            return cls(Path(name).resolve())
        if not _ADDRESS.fullmatch(name) or "/../" in f"{name}/" or "/./" in f"{name}/":
            raise WorkspaceError(
                f"{name} is no address of a workspace: give s3://BUCKET/PREFIX, or the path of a folder, with "
                f"--workspace or {ENVIRONMENT_NAME}"
            )
        address = name.rstrip("/")
        return cls(_state_folder(address), address)

    @property
    def name(self) -> str:
        """What `named` makes the workspace of again: its address, or the path of its folder."""
        return self.address or str(self.root)

    def require_writable(self) -> None:
        """Create the workspace, and refuse one that cannot be written.

        Raises
        ------
        WorkspaceError
            It cannot be created, or no file can be written in it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"0")
        except OSError as error:
            raise WorkspaceError(
                f"the workspace {self.root} cannot be written ({error.strerror}): make it a folder of yours with space "
                f"left, or name another with --workspace DIR or {ENVIRONMENT_NAME}"
            ) from error

    @property
    def catalogs(self) -> Path:
        """Catalogues, one Parquet file each."""
        return self.root / "catalogs"

    @property
    def datasets(self) -> Path:
        """Datasets, one folder each; with an address, the copies of tables that this machine has read."""
        return self.root / "datasets"

    @property
    def raw(self) -> Path:
        """Received bytes, unchanged, in files named by their sha256; see `tasks.store.places.raw_place`."""
        return self.root / "raw"

    @property
    def reports(self) -> Path:
        """Self-contained HTML pages."""
        return self.root / "reports"

    @property
    def scores(self) -> Path:
        """Scores, one Parquet file per night or cross-validation."""
        return self.root / "scores"

    @property
    def prefect(self) -> Path:
        """Prefect's home, with the records of its server and of running flows."""
        return self.root / "prefect"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking database."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlartifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlartifacts"


def _state_folder(address: str) -> Path:
    """Return the local folder of a workspace on an object store, named after its address."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(os.environ.get(STATE_ENVIRONMENT_NAME) or Path(state, "starloom")).resolve()
    readable = re.sub(r"[^a-z0-9.-]+", "-", address.removeprefix("s3://").lower())
    return folder / f"{readable[:80]}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
