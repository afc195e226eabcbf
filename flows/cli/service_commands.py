"""The subcommands that serve pages and flows: `up`, `down`, `label`, `units`, `serve-sky`."""

import argparse
import json
import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from flows.cli.actions import perform, require_usable
from flows.cli.exit_status import INTERRUPTED, ExitStatus, interruptible
from tasks.runtime.json_lines import tell
from tasks.runtime.workspace import Workspace

if TYPE_CHECKING:
    from tasks.pages.exposure import Exposure
    from tasks.server.arrival_bell import ArrivalBell
    from tasks.server.schedules import Schedule


def up(options: argparse.Namespace) -> ExitStatus:
    """Run the workspace's services until interrupted."""
    from tasks.pages.exposure import Exposure, page_token
    from tasks.server.local_stack import StackSettings, run_stack
    from tasks.server.slots import visible_gpus

    def work(output: TextIO) -> None:
        def announce(addresses: dict[str, str], schedules: list["Schedule"]) -> None:
            lines = [f"  {name:8} {address}" for name, address in addresses.items()]
            lines += [f"  {each.cron} ({each.timezone}): {each.deployment}" for each in schedules if each.active]
            if any(each.active for each in schedules):
                lines.append("  a schedule is paused by: prefect deployment schedule pause NAME/NAME ID")
            tell("\n".join([*lines, "Ctrl-C ends all"]))
            print(json.dumps(addresses), file=output, flush=True)

        def announce_home(address: str) -> None:
            tell(f"home page: {address} (the other services are starting)")
            if exposure.is_open:
                _tell_exposure(exposure, "home page and labelling page", address, page_token(workspace))

        workspace, exposure = Workspace.current(), Exposure.of_options(options)
        settings = StackSettings(tuple(visible_gpus(os.environ)), options.train_on, exposure)
        require_usable(workspace)
        bell = _bell(workspace)
        run_stack(workspace, announce, settings=settings, meanwhile=bell.look, announce_home=announce_home)

    return perform(work)


def down(options: argparse.Namespace) -> ExitStatus:
    """End the servers and runs of the workspace."""
    from tasks.server.prefect_server import stop_services

    return perform(lambda output: {"ended": stop_services(Workspace.current())})


def label(options: argparse.Namespace) -> ExitStatus:
    """Serve the labelling page until interrupted, or show its parameters."""

    def work(output: TextIO) -> None:
        from flows.cli.flow_catalogue import function_text
        from flows.cli.label import open_page
        from flows.cli.parameters import read_parameters
        from tasks.pages.exposure import Exposure

        if options.wants_help:
            print(function_text("label", open_page), file=output, flush=True)
            return
        page = open_page(**read_parameters(open_page, options.pairs))
        exposure = Exposure.of_options(options)

        def announce(found: dict[str, Any], token: str | None) -> None:
            if token is not None:
                _tell_exposure(exposure, "the labelling page", found["url"], token)
            print(json.dumps(found), file=output, flush=True)

        page.serve(exposure, announce)

    return perform(work)


def units(options: argparse.Namespace) -> ExitStatus:
    """Write units of systemd, and say how they are started."""

    def work(output: TextIO) -> dict[str, Any]:
        from tasks.server.local_stack import project_folder
        from tasks.server.systemd_units import UnitSettings, unit_texts, write_units

        backups = None if options.backup is None else options.backup.resolve()
        texts = unit_texts(
            Workspace.current(), UnitSettings(project_folder().resolve(), backups, options.keep), os.environ
        )
        commands = write_units(options.folder, texts)
        tell("\n".join(["next:", *(f"  {command}" for command in commands)]))
        return {"files": [str(options.folder / name) for name in texts], "next": commands}

    return perform(work)


def serve_sky(options: argparse.Namespace) -> ExitStatus:
    """Run the simulated cutout service until interrupted."""
    try:
        with interruptible():
            return ExitStatus(import_module("tasks.skyserver.app").run(options))
    except KeyboardInterrupt:
        return ExitStatus(INTERRUPTED)


def _tell_exposure(exposure: "Exposure", what: str, address: str, token: str) -> None:
    """Warn that other machines can reach pages, and tell the link that opens them, but to no journal that keeps it."""
    from tasks.pages.exposure import exposure_warning, token_file, token_link

    tell(exposure_warning(exposure, what), logging.WARNING)
    if "JOURNAL_STREAM" in os.environ:
        tell(f"the link is {address} with ?token= and what {token_file(Workspace.current())} holds")
    else:
        tell(f"open: {token_link(address, token)}", masked=False)


def _bell(workspace: Workspace) -> "ArrivalBell":
    """Return what tells the server of visits in the workspace's inbox."""
    from tasks.inbox.nights import default_inbox
    from tasks.server.arrival_bell import ArrivalBell
    from tasks.server.process_guard import is_locked
    from tasks.visits.arrivals import unscored_visits, visit_store

    inbox, lock = default_inbox(workspace), visit_store(workspace).lock
    return ArrivalBell(inbox.name, lambda: unscored_visits(workspace, inbox), lambda: is_locked(lock))
