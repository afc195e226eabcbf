"""A Prefect plugin: `prefect deployment run NAME` means the deployment NAME of the flow NAME, and no log has secrets.

Prefect requires FLOW/DEPLOYMENT. Every flow here has one deployment of its own name, so the name alone is enough.
Prefect loads this module (entry point group ``prefect.plugins``) if ``plugins.enabled`` is set, as in the project's
``pyproject.toml``.
"""

import sys
from pathlib import Path

from prefect.plugins import HookContext, register_hook

from tasks.runtime.secrets import mask_log_records


@register_hook
def setup_environment(*, ctx: HookContext) -> None:
    """Complete the name on Prefect's own command line, before it is read; mask what its processes log."""
    mask_log_records()
    if Path(sys.argv[0]).name == "prefect" or sys.orig_argv[1:3] == ["-m", "prefect"]:
        sys.argv[1:] = complete_name(sys.argv[1:])


def complete_name(arguments: list[str]) -> list[str]:
    """Return ``arguments`` with the NAME of ``deployment run [--watch] NAME`` written as NAME/NAME."""
    position = 3 if arguments[2:3] == ["--watch"] else 2
    if arguments[:2] != ["deployment", "run"] or len(arguments) <= position:
        return arguments
    name = arguments[position]
    if name.startswith("-") or "/" in name:
        return arguments
    return [*arguments[:position], f"{name}/{name}", *arguments[position + 1 :]]
