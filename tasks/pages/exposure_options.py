"""The options that open pages to other machines; light, since the command's help imports them."""

import argparse

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
