"""What the actions of the subcommands share: exit status, summary, verbosity, and a workspace that can be used."""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any, TextIO

from flows.cli.exit_status import ExitStatus, UsageError, run_command
from tasks.runtime.json_lines import is_json
from tasks.runtime.verbosity import Verbosity
from tasks.runtime.workspace import Workspace

TRACEBACK_NAME = "last-failure.txt"


def perform(work: Callable[[TextIO], Any]) -> ExitStatus:
    """Do the work and print what it returns; the traceback of a failure is kept in the workspace."""
    return run_command(work, Workspace.current().prefect / TRACEBACK_NAME)


def shown(name: str, work: Callable[[], Any], options: argparse.Namespace) -> Any:
    """Do the work with its lines on stderr, write its summary as a table there, and return it."""
    from tasks.runtime.logs import show_on_terminal

    show_on_terminal(verbosity_of(options))
    summary = work()
    if shows_table(options):
        import_module("flows.cli.summary_table").show(name, summary)
    return summary


def shows_table(options: argparse.Namespace) -> bool:
    """Return whether the summary is shown to people too."""
    return not (options.quiet or options.as_json or is_json())


def verbosity_of(options: argparse.Namespace) -> Verbosity:
    """Return what ``--quiet`` and ``--verbose`` ask for."""
    return Verbosity.QUIET if options.quiet else Verbosity.VERBOSE if options.verbose else Verbosity.USUAL


def existing_workspace() -> Workspace:
    """Return the workspace, which must not be made by the command."""
    workspace = Workspace.current()
    if not workspace.root.is_dir():
        raise UsageError(f"there is no workspace {workspace.root}: name it with --workspace DIR")
    return workspace


def workspace_to_copy() -> Workspace:
    """Return the workspace, which exists; where it is on an object store this machine may have no state of it yet."""
    workspace = Workspace.current()
    if workspace.address is None or workspace.root.is_dir():
        return existing_workspace()
    from tasks.store.object_store.objects import ObjectFolder

    if not ObjectFolder(workspace.address).folders():
        raise UsageError(f"there is no workspace {workspace.address}: name it with --workspace s3://BUCKET/PREFIX")
    workspace.require_writable()
    return workspace


def require_usable(workspace: Workspace) -> None:
    """Refuse a workspace whose folder cannot be written, whose object store lacks a condition, or half a restore."""
    workspace.require_writable()
    if workspace.address is not None:
        from tasks.store.object_store.conditions import require_conditions
        from tasks.store.object_store.objects import ObjectFolder
        from tasks.store.object_store.restoring import require_restored

        require_conditions(workspace.address)
        require_restored(ObjectFolder(workspace.address))
