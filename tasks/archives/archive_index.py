"""The files of a folder or zip of images, and which of them is the image of an object.

Only names are read here; `tasks.archives.archive_files` reads the bytes.
"""

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from galaxy.catalogue.identifiers import IMAGE_SUFFIXES, split_suffix

FOLDER = "folder"
LINK_OUTSIDE = "link_outside"

_FIRST_BYTES = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\xff\xd8", "a single image"),
    (b"\x89PNG", "a single image"),
)
_TAR_MARK = slice(257, 262)


@dataclass(frozen=True)
class ArchiveMember:
    """A file of an archive.

    Attributes
    ----------
    path : str
        Inside the archive, as it is written there.
    fault : str, optional
        Why it is not an image, as far as its name tells: ``folder``, ``link_outside`` or
        ``unsupported_format:SUFFIX``.
    """

    path: str
    fault: str | None = None


@dataclass(frozen=True)
class FoundImage:
    """What an archive has for an object: ``path`` of its image, or the ``reason`` why there is none.

    Attributes
    ----------
    path : str, optional
    reason : str, optional
        The fault of the only file of that name, or ``ambiguous_image``.
    files : tuple of str
        The files that the reason is about.
    """

    path: str | None
    reason: str | None = None
    files: tuple[str, ...] = ()


class ArchiveIndex:
    """Members of an archive by the stems of their names."""

    def __init__(self, members: Iterable[ArchiveMember]) -> None:
        self._by_stem: dict[str, list[ArchiveMember]] = {}
        self._in_any_case: dict[str, list[ArchiveMember]] = {}
        for member in members:
            stem = split_suffix(_with_slashes(member.path).rsplit("/", 1)[-1])[0]
            self._by_stem.setdefault(stem, []).append(member)
            self._in_any_case.setdefault(stem.lower(), []).append(member)

    def find(self, names: Iterable[str]) -> FoundImage | None:
        """Return the image that the first fitting name has; a file that is no image only where no name has one.

        A name is a path, a file name or a stem. Its path or file name goes before its stem, and what is no known
        suffix belongs to the stem. Upper and lower case differ only where a file has the name in the same case. None:
        there is no such file.
        """
        unusable = None
        for name in names:
            found = self._find(_with_slashes(name).removeprefix("./"))
            if found is not None and (found.path is not None or found.reason == "ambiguous_image"):
                return found
            unusable = unusable or found
        return unusable

    def _find(self, name: str) -> FoundImage | None:
        whole = name.rsplit("/", 1)[-1]
        shortened = split_suffix(whole)[0]
        by_stem = self._by_stem
        if whole not in by_stem and shortened not in by_stem:
            by_stem, whole, shortened = self._in_any_case, whole.lower(), shortened.lower()
        of_whole = by_stem.get(whole, [])
        members = of_whole if shortened == whole else of_whole + by_stem.get(shortened, [])
        usable = _with_suffix([member for member in members if member.fault is None])
        chosen = _nearest(usable, name) or [member for member in usable if member in of_whole] or usable
        if len(chosen) == 1:
            return FoundImage(chosen[0].path)
        if chosen:
            return FoundImage(None, "ambiguous_image", tuple(member.path for member in chosen))
        return FoundImage(None, members[0].fault, (members[0].path,)) if members else None


def _nearest(members: Sequence[ArchiveMember], name: str) -> list[ArchiveMember]:
    """Return the members of that path, else those whose path ends with it."""
    same = [member for member in members if _with_slashes(member.path) == name]
    return same or [member for member in members if _with_slashes(member.path).endswith(f"/{name}")]


def index_archive(path: Path) -> ArchiveIndex:
    """Return the index of a folder or zip of images; errors as of `list_archive`."""
    return ArchiveIndex(list_archive(path))


def list_archive(path: Path) -> list[ArchiveMember]:
    """Return the files of a folder or zip of images, in the order of their paths.

    Raises
    ------
    ValueError
        The path is neither, the zip is damaged as a whole, a member's path leads out of it, or there is no image.
    """
    members = list(_folder_members(path) if path.is_dir() else _zip_members(path))
    for member in members:
        inside = PurePosixPath(_with_slashes(member.path))
        if inside.is_absolute() or ".." in inside.parts:
            raise ValueError(f"{path.name} has a member that points out of it: {member.path!r}; nothing was read")
    if all(member.fault is not None for member in members):
        suffixes = Counter(_kind(member) for member in members if member.fault != FOLDER)
        held = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(4)) or "nothing"
        raise ValueError(f"images={path} holds no {', '.join(IMAGE_SUFFIXES)} file; it holds: {held}")
    return members


def _folder_members(folder: Path) -> Iterable[ArchiveMember]:
    """Yield files, links and folders below a folder, in order; links to folders are not followed."""
    real = os.path.realpath(folder)
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*folders, *files]):
            file = Path(root) / name
            path = file.relative_to(folder).as_posix()
            # `Path.resolve` raises on a loop of links.
            if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(real):
                yield ArchiveMember(path, LINK_OUTSIDE)
            elif name in folders:
                yield ArchiveMember(path, FOLDER)
            else:
                yield _file_member(path)


def _zip_members(path: Path) -> Iterable[ArchiveMember]:
    """Yield the members of a zip, in order."""
    refusal = f"images={path} is neither a folder nor a readable zip"
    # First, because a zip may stand at the end of any other file.
    other = _name_other_file(path)
    if other is not None:
        raise ValueError(f"{refusal}: {other}")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.filename)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{refusal}: {error}") from error
    for info in infos:
        if info.is_dir():
            yield ArchiveMember(info.filename.rstrip("/"), FOLDER)
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield ArchiveMember(info.filename, LINK_OUTSIDE)
        else:
            yield _file_member(info.filename)


def _file_member(path: str) -> ArchiveMember:
    suffix = split_suffix(path)[1]
    known = suffix in IMAGE_SUFFIXES or not suffix
    return ArchiveMember(path, None if known else f"unsupported_format:{suffix[1:]}")


def _kind(member: ArchiveMember) -> str:
    return "links out of the folder" if member.fault == LINK_OUTSIDE else split_suffix(member.path)[1]


def _name_other_file(path: Path) -> str | None:
    """Return what a file is that begins as none of the zips that can be read; None for all others."""
    with path.open("rb") as stream:
        first = stream.read(512)
    if not first:
        return "it is empty (0 bytes)"
    if first.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return f"it is a zip that is cut off after {path.stat().st_size} bytes (no list of members); copy it again"
    if first[_TAR_MARK] == b"ustar":
        return "it is a tar archive; unpack it into a folder"
    return next(
        (f"it is {name}; give a folder or a zip" for mark, name in _FIRST_BYTES if first.startswith(mark)), None
    )


def _with_suffix(members: list[ArchiveMember]) -> list[ArchiveMember]:
    """Return the members with a suffix of an image; all, where none has one."""
    return [member for member in members if split_suffix(member.path)[1]] or members


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/")
