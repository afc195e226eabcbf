"""The `starloom` command.

Heavy modules are imported only by the subcommand that needs them, so `starloom --help` answers at once.
"""

import atexit
import os
import sys

from flows.cli.exit_status import WRONG_USE, ExitStatus, exit_process
from flows.cli.options import build_parser
from flows.cli.shell_commands import COMPLETE, complete
from tasks.runtime.json_lines import FORMATS, LOG_VARIABLE
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace, WorkspaceError


def main() -> None:
    """Run the command of this process's arguments and end the process."""
    outcomes: list[ExitStatus] = []
    atexit.register(exit_process, outcomes)
    outcomes.append(execute(sys.argv[1:]))


def execute(words: list[str]) -> ExitStatus:
    """Run the command ``words``. ``--help`` and unknown options exit as argparse does."""
    parser = build_parser(with_sky="serve-sky" in words)
    if words[:2] == COMPLETE:
        return complete(words[2:], parser.get_default("commands"))
    options = parser.parse_args(words)
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


if __name__ == "__main__":
    main()
