"""Units of systemd that keep a workspace's services up and back it up every day, for a user without root."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.runtime.addresses import AddressError
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.server.group_server import PREFECT_VARIABLE, group_server
from tasks.store.files import whole_file
from tasks.tracking.tracking_store import MLFLOW_VARIABLE, group_tracking

SERVICES, BACKUP, TIMER = "starloom.service", "starloom-backup.service", "starloom-backup.timer"
BACKUP_AT = "13:00"
"""After the nights of the schedules, before the housekeeping; by the clock of the machine."""
STARLOOM = ("-m", "flows.cli.command")
_INTERRUPTED, _WRONG_USE = 130, 2
_PLAIN = re.compile(r"[\w./=:@+-]+", re.ASCII)
_KEPT = (
    "STARLOOM_INBOX",
    "STARLOOM_DASK_ADDRESS",
    "STARLOOM_LOG",
    "STARLOOM_STATE",
    "STARLOOM_S3_POINTER",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ALLOW_HTTP",
    PREFECT_VARIABLE,
    MLFLOW_VARIABLE,
)
"""Variables that the services get from whoever writes the units; no secret, for units can be read."""

_SERVICES = """[Unit]
Description=starloom: servers and workers of {workspace}
StartLimitIntervalSec=0

[Service]
WorkingDirectory={project}
{environment}ExecStart={command}
# Ctrl-C's exit code: what `systemctl stop` leads to.
SuccessExitStatus={interrupted}
Restart=on-failure
RestartSec=30
# Wrong use does not become right by trying again.
RestartPreventExitStatus={wrong_use}
# It ends its own services in order; what is left after the time is killed.
KillMode=mixed
TimeoutStopSec=120

[Install]
WantedBy=default.target
"""

_BACKUP = """[Unit]
Description=starloom: backup of {workspace}

[Service]
Type=oneshot
WorkingDirectory={project}
ExecStart={command}
Nice=10
IOSchedulingClass=idle
"""

_TIMER = """[Unit]
Description=starloom: daily backup of {workspace}

[Timer]
OnCalendar=*-*-* {at}
# Where the machine was off at that time, as soon as it is on.
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class UnitSettings:
    """What the units are made for.

    Attributes
    ----------
    project : Path
        Folder of ``prefect.yaml``.
    backup : Path, optional
        Folder of the backups; None: no backup.
    keep : int
        Backups that stay.
    python : str
        Interpreter of the installation.
    """

    project: Path
    backup: Path | None = None
    keep: int = 14
    python: str = sys.executable


def unit_texts(workspace: Workspace, settings: UnitSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the text of every unit by its file name.

    Raises
    ------
    AddressError
        The address of a group's server has a password: everybody on the machine may read a unit's variables.
    """
    for address in (group_server(environment), group_tracking(environment)):
        if address is not None and address.password is not None:
            raise AddressError(
                f"{address.variable}={address.url} has a password, which a unit would show to everybody: unset "
                "it here, and name a file that has it with EnvironmentFile= in `systemctl --user edit starloom`"
            )
    root = workspace.name
    common = {"workspace": _escaped(root), "project": _escaped(str(settings.project))}
    kept = {ENVIRONMENT_NAME: root} | {name: environment[name] for name in _KEPT if environment.get(name)}
    texts = {
        SERVICES: _SERVICES.format(
            **common,
            environment="".join(f"Environment={_word(f'{name}={value}')}\n" for name, value in kept.items()),
            command=_command(settings.python, "up", "--workspace", root),
            interrupted=_INTERRUPTED,
            wrong_use=_WRONG_USE,
        )
    }
    if settings.backup is not None:
        words = ("backup", str(settings.backup), "--keep", str(settings.keep), "--quiet", "--workspace", root)
        texts[BACKUP] = _BACKUP.format(**common, command=_command(settings.python, *words))
        texts[TIMER] = _TIMER.format(**common, at=BACKUP_AT)
    return texts


def write_units(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write units into a folder and return the commands that start them; nothing is started."""
    for name, text in texts.items():
        with whole_file(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    started = [name for name in texts if name != BACKUP]
    return [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {' '.join(started)}",
        "loginctl enable-linger",
    ]


def _command(*words: str) -> str:
    python, *rest = words
    return _sentence([python, *STARLOOM, *rest])


def _sentence(words: Sequence[str]) -> str:
    """Return the words of a command: systemd replaces variables in all but the first."""
    first, *rest = words
    return " ".join([_word(first), *(_word(word).replace("$", "$$") for word in rest)])


def _word(text: str) -> str:
    """Return a word that systemd reads as it is, in quotes if it needs them."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = _escaped(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _escaped(text: str) -> str:
    """Return text in which systemd sees no specifier, such as ``%h``."""
    return text.replace("%", "%%")
