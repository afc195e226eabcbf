"""The workspace: one folder with all data and state, and the paths in it."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_NAME = "STARLOOM_WORKSPACE"


class WorkspaceError(RuntimeError):
    """The workspace cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Workspace:
    """Paths of one workspace; the code that writes into a folder creates it."""

    root: Path

    @classmethod
    def current(cls) -> "Workspace":
        """Return the workspace named by ``STARLOOM_WORKSPACE``, else ``./workspace``."""
        return cls(Path(os.environ.get(ENVIRONMENT_NAME) or "workspace").resolve())

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
        """Datasets, one folder each."""
        return self.root / "datasets"

    @property
    def raw(self) -> Path:
        """Received bytes, unchanged, in files named by their sha256."""
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
