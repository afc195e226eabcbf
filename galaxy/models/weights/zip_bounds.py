"""How much a zip of weights may unpack to."""

import zipfile
from pathlib import Path

ALWAYS_BYTES = 64 << 20
MOST_TIMES = 8
"""Numbers of trained weights hardly pack; a zip that unpacks to a thousand times its size was made to fill memory."""


def require_unpackable(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a zip whose members are far larger than itself.

    Raises
    ------
    ValueError
        They are said to be, and zipfile reads no more of a member than is said.
    """
    most, said = max(ALWAYS_BYTES, MOST_TIMES * path.stat().st_size), sum(info.file_size for info in archive.infolist())
    if said > most:
        raise ValueError(f"it would unpack to {said:,} bytes, more than {most:,}")
