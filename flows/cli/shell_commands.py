"""Completion of flows, parameters and choices in a shell: its script, and the candidates that the script asks for."""

import argparse
from collections.abc import Sequence

from flows.cli.exit_status import DONE, ExitStatus
from tasks.runtime.workspace import Workspace

COMPLETE = ["complete", "--"]
"""What the scripts of `flows.cli.completion` begin with; it is no subcommand that people type."""


def completion(options: argparse.Namespace) -> ExitStatus:
    """Print the script of a shell."""
    from flows.cli.completion import SCRIPTS

    print(SCRIPTS[options.shell], end="", flush=True)
    return ExitStatus(DONE)


def complete(words: Sequence[str], commands: dict[str, argparse.ArgumentParser]) -> ExitStatus:
    """Print what the last word may become, one candidate a line; a shell's script asks for it."""
    from flows.cli.completion import candidates
    from flows.cli.completion_table import read_table

    for word in candidates(words, commands, read_table(), Workspace.current().root):
        print(word)
    return ExitStatus(DONE)
