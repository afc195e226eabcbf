"""The options that open pages to other machines; light, since the command's help imports them."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.pages.exposure import Exposure

LOOPBACK = "127.0.0.1"


def add_exposure(parser: argparse.ArgumentParser) -> None:
    """Add ``--host`` and ``--host-name``."""
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default=LOOPBACK,
        help=f"address that the pages listen on; other machines need a token [{LOOPBACK}]",
    )
    parser.add_argument(
        "--host-name",
        metavar="NAME",
        action="append",
        default=[],
        help="one more name by which browsers reach this machine, such as a proxy's; may be repeated",
    )


def exposure_of(options: argparse.Namespace) -> "Exposure":
    """Return what the options say."""
    from tasks.pages.exposure import Exposure

    return Exposure(options.host, tuple(options.host_name))


def exposure_words(exposure: "Exposure") -> list[str]:
    """Return the options as words of a command."""
    names = [word for name in exposure.names for word in ("--host-name", name)]
    return ["--host", exposure.host, *names]
