"""The subcommands that look at a workspace or keep it: `status`, `doctor`, `backup`, `restore`, `upgrade`."""

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from flows.cli.actions import TRACEBACK_NAME, existing_workspace, perform, shown, workspace_to_copy
from flows.cli.exit_status import FAILED, ExitStatus, run_command
from tasks.runtime.secrets import mask
from tasks.runtime.workspace import Workspace

_MEASURE_S = 1.0
"""Time that `starloom status` waits for the sizes on the disk; folders that take longer are told to be incomplete."""


def status(options: argparse.Namespace) -> ExitStatus:
    """Say what the workspace has: as text, and as JSON where that is asked for or stdout is no terminal."""

    def work(output: TextIO) -> Any:
        from tasks.home.status_reader import StatusReader
        from tasks.home.terminal import status_text

        found = StatusReader(Workspace.current(), patience_s=_MEASURE_S).read()
        if not options.json:
            print(status_text(found), file=sys.stderr, flush=True)
        return found.model_dump(mode="json") if options.json or not output.isatty() else None

    return perform(work)


def doctor(options: argparse.Namespace) -> ExitStatus:
    """Check what flows need; exit code 1 if a problem would stop one."""
    problems = 0

    def work(output: TextIO) -> None:
        nonlocal problems
        from tasks.doctor.examine import examine

        report = examine(Workspace.current(), os.environ)
        problems = report.problems
        text = json.dumps(report.to_summary()) if options.as_json else "\n".join(report.to_lines())
        print(mask(text), file=output, flush=True)

    status = perform(work)
    return ExitStatus(FAILED, f"{problems} of the checks found a problem") if problems else status


def backup(options: argparse.Namespace) -> ExitStatus:
    """Copy the workspace into a dated folder."""

    def work() -> Any:
        from tasks.backup.back_up import back_up

        return back_up(workspace_to_copy(), options.target, datetime.now(UTC), options.keep)

    return perform(lambda output: shown("backup", work, options))


def restore(options: argparse.Namespace) -> ExitStatus:
    """Make a workspace from a backup, or only compare the backup with its digests."""

    def work() -> Any:
        from tasks.backup.restore import check, restore

        return check(options.source) if options.check else restore(options.source, Workspace.current())

    # The workspace shall stay empty where the backup is refused.
    traceback_file = Path(tempfile.gettempdir(), f"starloom-{os.getpid()}-{TRACEBACK_NAME}")
    return run_command(lambda output: shown("restore", work, options), traceback_file)


def upgrade(options: argparse.Namespace) -> ExitStatus:
    """Bring the workspace's databases to the schema of the installed programs."""

    def work() -> Any:
        from tasks.upgrade.databases import upgrade

        return upgrade(existing_workspace(), options.dry_run)

    return perform(lambda output: shown("upgrade", work, options))
