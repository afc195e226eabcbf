"""The `starloom` command: its subcommands and options.

Heavy modules are imported only by the subcommand that needs them, so `starloom --help` answers at once.
"""

import argparse
import atexit
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from flows.cli.exit_status import (
    DONE,
    FAILED,
    INTERRUPTED,
    WRONG_USE,
    ExitStatus,
    UsageError,
    exit_process,
    interruptible,
    run_command,
)
from tasks.pages.exposure_options import add_exposure, exposure_of
from tasks.runtime.json_lines import FORMATS, LOG_VARIABLE, is_json, tell
from tasks.runtime.secrets import mask
from tasks.runtime.verbosity import Verbosity
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace, WorkspaceError

if TYPE_CHECKING:
    from tasks.pages.exposure import Exposure
    from tasks.server.arrival_bell import ArrivalBell

DEMO = (
    ("galaxy-end-to-end", "dataset=demo", "scheme=deck-3", "limit=1000", "preset=tuned"),
    ("build-realbogus-dataset", "dataset=demo-transients", "chips=8", "visits=3"),
    ("train-realbogus", "dataset=demo-transients", "network=first"),
    ("train-realbogus", "dataset=demo-transients"),
    ("make-night", "dataset=demo-transients", "count=20000"),
)

COMPLETE = ["complete", "--"]
"""What the scripts of `flows.cli.completion` begin with; it is no subcommand that people type."""

_TRACEBACK_NAME = "last-failure.txt"
_MEASURE_S = 1.0
"""Time that `starloom status` waits for the sizes on the disk; folders that take longer are told to be incomplete."""


def main() -> None:
    """Run the command of this process's arguments and end the process."""
    outcomes: list[ExitStatus] = []
    atexit.register(exit_process, outcomes)
    outcomes.append(execute(sys.argv[1:]))


def execute(words: list[str]) -> ExitStatus:
    """Run the command ``words``. ``--help`` and unknown options exit as argparse does."""
    if words[:2] == COMPLETE:
        return complete(words[2:])
    options = build_parser(with_sky="serve-sky" in words).parse_args(words)
    if "workspace" in options:
        os.environ[ENVIRONMENT_NAME] = options.workspace
    try:
        os.environ[ENVIRONMENT_NAME] = Workspace.current().name
    except WorkspaceError as error:
        return ExitStatus(WRONG_USE, str(error))
    if "log" in options:
        os.environ[LOG_VARIABLE] = options.log
    if (chosen := os.environ.get(LOG_VARIABLE) or "text") not in FORMATS:
        return ExitStatus(WRONG_USE, f"{LOG_VARIABLE}={chosen}: {' or '.join(FORMATS)}")
    return options.action(options)


def build_parser(with_sky: bool) -> argparse.ArgumentParser:
    """Return the command's parser; ``with_sky`` adds the options of `serve-sky`."""
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--workspace",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help=f"folder of all data and results, or s3://BUCKET/PREFIX [{ENVIRONMENT_NAME}, else ./workspace]",
    )
    everywhere.add_argument(
        "--log",
        choices=FORMATS,
        default=argparse.SUPPRESS,
        help=f"lines on stderr for people, or one JSON object each [{LOG_VARIABLE}, else text]",
    )
    shown = argparse.ArgumentParser(add_help=False)
    amount = shown.add_mutually_exclusive_group()
    amount.add_argument("--quiet", action="store_true", help="write warnings and errors only to stderr")
    amount.add_argument("--verbose", action="store_true", help="write every stage's log lines to stderr")
    shown.add_argument("--json", action="store_true", dest="as_json", help="no table of the summary: its JSON alone")
    parser = argparse.ArgumentParser(
        prog="starloom",
        parents=[everywhere],
        description="From survey data to labelled image datasets and trained classifiers.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(
        name: str,
        action: Callable[[argparse.Namespace], ExitStatus],
        text: str,
        more: Sequence[argparse.ArgumentParser] = (),
        **settings: Any,
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[everywhere, *more], help=text, description=text, **settings)
        command.set_defaults(action=action)
        return command

    add("demo", demo, "run both pipelines on small simulated data", [shown])
    served = add(
        "up",
        up,
        "start home page, Prefect server, worker, MLflow and labelling page, deploy all; Ctrl-C ends",
    )
    served.add_argument(
        "--train-on", choices=["local", "gpu"], default="local", help="work pool of the deployments that train [local]"
    )
    add_exposure(served)
    one = add("run", run, "run a flow in this process", [shown], add_help=False)
    one.add_argument("flow", metavar="FLOW", nargs="?", help="name of the flow")
    one.add_argument(
        "-p", metavar="NAME=VALUE", action="append", default=[], dest="pairs", help="a parameter of the flow"
    )
    one.add_argument("-h", "--help", action="store_true", dest="wants_help", help="show this help, or that of the flow")
    one.set_defaults(usage=one.format_help)
    labelled = add("label", label, "serve a page on which people label samples; Ctrl-C ends", add_help=False)
    add_exposure(labelled)
    labelled.add_argument(
        "-p", metavar="NAME=VALUE", action="append", default=[], dest="pairs", help="a parameter, see --help"
    )
    labelled.add_argument("-h", "--help", action="store_true", dest="wants_help", help="show all parameters")
    checked = add("verify", verify, "compare every byte of a dataset with its digests", [shown])
    checked.add_argument("dataset", metavar="DATASET[@N]", help="dataset, or one of its versions")
    saved = add("backup", backup, "copy the workspace into a dated folder; what is unchanged is linked", [shown])
    saved.add_argument("target", metavar="TARGET", type=Path, help="folder of the backups, outside the workspace")
    saved.add_argument("--keep", metavar="N", type=_positive, help="remove all backups but the newest N [keep all]")
    made = add("restore", restore, "make a new workspace from a backup", [shown])
    made.add_argument(
        "source", metavar="SOURCE", type=Path, help="a backup, or the folder of which the newest is taken"
    )
    made.add_argument("--check", action="store_true", help="only compare the backup with its digests")
    brought = add("upgrade", upgrade, "bring the databases of MLflow and Prefect to the installed programs", [shown])
    brought.add_argument("--dry-run", action="store_true", help="only say what would be done")
    kept_up = add("units", units, "write units of systemd that keep the workspace's services up and back it up")
    kept_up.add_argument("folder", metavar="FOLDER", type=Path, help="such as ~/.config/systemd/user")
    kept_up.add_argument("--backup", metavar="TARGET", type=Path, help="back up daily into this folder [no backup]")
    kept_up.add_argument("--keep", metavar="N", type=_positive, default=14, help="backups that stay [14]")
    told = add("status", status, "say what the workspace has, what runs, what was decided, and what to run first")
    told.add_argument("--json", action="store_true", help="only JSON")
    add("down", down, "end the servers and runs of the workspace")
    examined = add("doctor", doctor, "check installation, machine, workspace and services; say what would run where")
    examined.add_argument("--json", action="store_true", dest="as_json", help="one line of JSON instead of text")
    script = add("completion", completion, "print a shell's script that completes flows, parameters and choices")
    script.add_argument("shell", choices=["bash", "zsh", "fish"])
    sky = add("serve-sky", serve_sky, "run the simulated cutout service")
    if with_sky:
        import_module("tasks.skyserver.app").add_arguments(sky)
    parser.set_defaults(commands=commands.choices)
    return parser


def _positive(text: str) -> int:
    """Return a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return number


class _Version(argparse.Action):
    """Looks the version up only for ``--version``: it takes longer than the help itself."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"starloom {version('starloom')}")
        parser.exit()


def demo(options: argparse.Namespace) -> ExitStatus:
    """Run both pipelines on small simulated data, then print a report."""
    amount = _verbosity(options)

    def work(output: TextIO) -> dict[str, Any]:
        from tasks.server.process_guard import guard_children

        with guard_children():
            galaxies, *candidates = (run_flow(name, parameters, amount) for name, *parameters in DEMO)
            build, first, train, night = candidates
            scores = run_flow("score-night", [f"path={night['path']}"], amount)
        realbogus = {"build": build, "first": first, "train": train, "night": night, "score": scores}
        if _shows_table(options):
            import_module("flows.cli.demo_report").show(galaxies, realbogus, Workspace.current())
        return {**galaxies, "realbogus": realbogus}

    return _perform(work)


def run(options: argparse.Namespace) -> ExitStatus:
    """Run a flow, or show its help."""
    from flows.cli.flow_catalogue import list_text, parameters_text

    def show_help(output: TextIO) -> None:
        text = parameters_text(options.flow) if options.flow else f"{options.usage()}\n{list_text()}"
        print(text, file=output, flush=True)

    def work(output: TextIO) -> Any:
        if options.flow is None:
            raise UsageError(f"run which flow?\n{list_text()}")
        return _run_and_show(options.flow, options.pairs, options)

    return _perform(show_help if options.wants_help else work)


def label(options: argparse.Namespace) -> ExitStatus:
    """Serve the labelling page until interrupted, or show its parameters."""

    def work(output: TextIO) -> None:
        from flows.cli.flow_catalogue import function_text
        from flows.cli.label import open_page
        from flows.cli.parameters import read_parameters

        if options.wants_help:
            print(function_text("label", open_page), file=output, flush=True)
            return
        page = open_page(**read_parameters(open_page, options.pairs))
        exposure = exposure_of(options)

        def announce(found: dict[str, Any], token: str | None) -> None:
            if token is not None:
                _tell_exposure(exposure, "the labelling page", found["url"], token)
            print(json.dumps(found), file=output, flush=True)

        page.serve(exposure, announce)

    return _perform(work)


def verify(options: argparse.Namespace) -> ExitStatus:
    """Compare every byte of a dataset with its digests."""
    return _perform(lambda output: _run_and_show("verify", [f"dataset={options.dataset}"], options))


def _existing_workspace() -> Workspace:
    """Return the workspace, which must not be made by the command."""
    workspace = Workspace.current()
    if not workspace.root.is_dir():
        raise UsageError(f"there is no workspace {workspace.root}: name it with --workspace DIR")
    return workspace


def _workspace_to_copy() -> Workspace:
    """Return the workspace, which exists; where it is on an object store this machine may have no state of it yet."""
    workspace = Workspace.current()
    if workspace.address is None or workspace.root.is_dir():
        return _existing_workspace()
    from tasks.store.objects import ObjectFolder

    if not ObjectFolder(workspace.address).folders():
        raise UsageError(f"there is no workspace {workspace.address}: name it with --workspace s3://BUCKET/PREFIX")
    workspace.require_writable()
    return workspace


def backup(options: argparse.Namespace) -> ExitStatus:
    """Copy the workspace into a dated folder."""

    def work() -> Any:
        from tasks.backup.back_up import back_up

        return back_up(_workspace_to_copy(), options.target, datetime.now(UTC), options.keep)

    return _perform(lambda output: _shown("backup", work, options))


def restore(options: argparse.Namespace) -> ExitStatus:
    """Make a workspace from a backup, or only compare the backup with its digests."""

    def work() -> Any:
        from tasks.backup.restore import check, restore

        return check(options.source) if options.check else restore(options.source, Workspace.current())

    # The workspace shall stay empty where the backup is refused.
    traceback_file = Path(tempfile.gettempdir(), f"starloom-{os.getpid()}-{_TRACEBACK_NAME}")
    return run_command(lambda output: _shown("restore", work, options), traceback_file)


def upgrade(options: argparse.Namespace) -> ExitStatus:
    """Bring the workspace's databases to the schema of the installed programs."""

    def work() -> Any:
        from tasks.upgrade.databases import upgrade

        return upgrade(_existing_workspace(), options.dry_run)

    return _perform(lambda output: _shown("upgrade", work, options))


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

    return _perform(work)


def up(options: argparse.Namespace) -> ExitStatus:
    """Run the workspace's services until interrupted."""
    from tasks.pages.exposure import page_token
    from tasks.server.local_stack import StackSettings, run_stack
    from tasks.server.schedules import Schedule
    from tasks.server.slots import visible_gpus

    def work(output: TextIO) -> None:
        def announce(addresses: dict[str, str], schedules: list[Schedule]) -> None:
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

        workspace, exposure = Workspace.current(), exposure_of(options)
        settings = StackSettings(tuple(visible_gpus(os.environ)), options.train_on, exposure)
        _require_usable(workspace)
        bell = _bell(workspace)
        run_stack(workspace, announce, settings=settings, meanwhile=bell.look, announce_home=announce_home)

    return _perform(work)


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


def status(options: argparse.Namespace) -> ExitStatus:
    """Say what the workspace has: as text, and as JSON where that is asked for or stdout is no terminal."""

    def work(output: TextIO) -> Any:
        from tasks.home.status_reader import StatusReader
        from tasks.home.terminal import status_text

        found = StatusReader(Workspace.current(), patience_s=_MEASURE_S).read()
        if not options.json:
            print(status_text(found), file=sys.stderr, flush=True)
        return found.model_dump(mode="json") if options.json or not output.isatty() else None

    return _perform(work)


def down(options: argparse.Namespace) -> ExitStatus:
    """End the servers and runs of the workspace."""
    from tasks.server.prefect_server import stop_services

    return _perform(lambda output: {"ended": stop_services(Workspace.current())})


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

    status = _perform(work)
    return ExitStatus(FAILED, f"{problems} of the checks found a problem") if problems else status


def completion(options: argparse.Namespace) -> ExitStatus:
    """Print the script of a shell."""
    from flows.cli.completion import SCRIPTS

    print(SCRIPTS[options.shell], end="", flush=True)
    return ExitStatus(DONE)


def complete(words: Sequence[str]) -> ExitStatus:
    """Print what the last word may become, one candidate a line; a shell's script asks for it."""
    from flows.cli.completion import candidates
    from flows.cli.completion_table import read_table

    commands = build_parser(with_sky="serve-sky" in words).get_default("commands")
    for word in candidates(words, commands, read_table(), Workspace.current().root):
        print(word)
    return ExitStatus(DONE)


def serve_sky(options: argparse.Namespace) -> ExitStatus:
    """Run the simulated cutout service until interrupted."""
    try:
        with interruptible():
            return ExitStatus(import_module("tasks.skyserver.app").run(options))
    except KeyboardInterrupt:
        return ExitStatus(INTERRUPTED)


def _run_and_show(name: str, pairs: Sequence[str], options: argparse.Namespace) -> Any:
    """Run a flow, write its summary as a table to stderr, and return it."""
    return _shown(name, lambda: run_flow(name, pairs, _verbosity(options)), options)


def _shown(name: str, work: Callable[[], Any], options: argparse.Namespace) -> Any:
    """Do the work with its lines on stderr, write its summary as a table there, and return it."""
    from tasks.runtime.logs import show_on_terminal

    show_on_terminal(_verbosity(options))
    summary = work()
    if _shows_table(options):
        import_module("flows.cli.summary_table").show(name, summary)
    return summary


def _shows_table(options: argparse.Namespace) -> bool:
    return not (options.quiet or options.as_json or is_json())


def _verbosity(options: argparse.Namespace) -> Verbosity:
    return Verbosity.QUIET if options.quiet else Verbosity.VERBOSE if options.verbose else Verbosity.USUAL


def run_flow(name: str, pairs: Sequence[str], verbosity: Verbosity = Verbosity.USUAL) -> Any:
    """Run the flow ``name`` with the parameters ``pairs`` and return its summary.

    Unknown names are refused from the flow's source before anything is started or imported; then the server starts
    while the flow is imported.
    """
    from flows.cli.flow_catalogue import argument_names, load_flow
    from flows.cli.parameters import read_parameters, require_known, split_pair
    from tasks.runtime.logs import show_on_terminal
    from tasks.server.prefect_server import begin_server
    from tasks.server.process_guard import guard_children
    from tasks.tracking.tracking_store import require_tracking_server

    require_known([split_pair(pair)[0] for pair in pairs], argument_names(name))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's messages about the CPU
    workspace = Workspace.current()
    _require_usable(workspace)
    require_tracking_server()
    server = begin_server(workspace)
    with guard_children():
        show_on_terminal(verbosity)
        flow = load_flow(name)
        parameters = read_parameters(flow.fn, pairs)
        server.wait()
        from tasks.server.flow_runs import run_here

        return run_here(workspace, flow, parameters)


def _require_usable(workspace: Workspace) -> None:
    """Refuse a workspace whose folder cannot be written, or whose object store lacks a condition."""
    workspace.require_writable()
    if workspace.address is not None:
        from tasks.store.conditions import require_conditions

        require_conditions(workspace.address)


def _perform(work: Callable[[TextIO], Any]) -> ExitStatus:
    return run_command(work, Workspace.current().prefect / _TRACEBACK_NAME)


if __name__ == "__main__":
    main()
