"""How much a command writes to stderr."""

from enum import IntEnum


class Verbosity(IntEnum):
    """Which lines are written to stderr.

    QUIET: warnings and errors; USUAL: progress and the run's address too; VERBOSE: every stage's lines.
    """

    QUIET = 0
    USUAL = 1
    VERBOSE = 2
