"""The subcommands of `starloom` and their options."""

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from flows.cli.exit_status import ExitStatus
from flows.cli.flow_commands import demo, run, verify
from flows.cli.service_commands import down, label, serve_sky, units, up
from flows.cli.shell_commands import completion
from flows.cli.workspace_commands import backup, doctor, restore, status, upgrade
from tasks.pages.exposure_options import add_exposure
from tasks.runtime.json_lines import FORMATS, LOG_VARIABLE
from tasks.runtime.workspace import ENVIRONMENT_NAME


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
