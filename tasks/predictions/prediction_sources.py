"""Images to classify: a dataset's samples, or the files of a folder or zip; in blocks, in a fixed order.

A few blocks are in memory at a time. A file that is no usable image is a row with its reason.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy.catalogue.identifiers import split_suffix
from galaxy.images.cutouts import pixel_sha256, to_sample
from galaxy.images.file_formats import ImageFaultError
from galaxy.images.image_files import conversion_names, read_image_file
from tasks.archives.archive_files import ArchiveFileError, open_archive
from tasks.archives.archive_index import FOLDER, ArchiveMember, list_archive
from tasks.galaxies.training_range import IMAGE_PX, LEDGER_RANGES, ledger_columns
from tasks.learning.block_scoring import map_in_order, processors
from tasks.learning.scoring import IMAGE_BATCH, image_blocks
from tasks.store.dataset import Dataset
from tasks.store.schema import GALAXY
from tasks.store.versions import stored_rows

BLOCK_BYTES = 16 * 1024 * 1024
MOST_BLOCK_ROWS = 8 * IMAGE_BATCH
FACTS = pa.schema(
    [
        pa.field("ra_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("dec_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("group", pa.string()),
        pa.field("redshift", pa.float64()),
        pa.field("r_mag", pa.float64(), metadata={b"unit": b"mag"}),
        pa.field("width_arcsec", pa.float64(), metadata={b"unit": b"arcsec"}),
        pa.field(IMAGE_PX, pa.float64(), metadata={b"unit": b"px"}),
        pa.field("pixel_sha256", pa.string()),
        pa.field("file", pa.string()),
        pa.field("conversions", pa.string()),
    ]
)
"""What is known of an image beside its pixels: a dataset's ledger knows the sky, a file its own size."""


class PredictionError(ValueError):
    """Images cannot be classified as requested."""


@dataclass(frozen=True)
class ImageBlock:
    """Some images in the input's order.

    Attributes
    ----------
    ids : list of str
        Of all n rows.
    images : (m, size, size, 3) uint8
        Of the rows without a reason, in their order.
    reasons : list of str or None
        Why a row has no image.
    facts : Table
        `FACTS` of all n rows.
    """

    ids: list[str]
    images: NDArray[np.uint8]
    reasons: list[str | None]
    facts: pa.Table


class ImageSource(Protocol):
    """Images in a fixed order."""

    @property
    def name(self) -> str:
        """Name of the source."""

    @property
    def identity(self) -> str:
        """Equal for the same images in the same blocks, and only for them."""

    @property
    def count(self) -> int:
        """Number of rows."""

    def blocks(self, first: int = 0) -> Iterator[ImageBlock]:
        """Yield the blocks from number `first` on; earlier ones are not read."""


def block_rows(size_px: int) -> int:
    """Return the rows of a block of images `size_px` wide: a multiple of a step of the model, where memory allows."""
    fitting = BLOCK_BYTES // (3 * size_px**2)
    return min(MOST_BLOCK_ROWS, fitting - fitting % IMAGE_BATCH) or IMAGE_BATCH


@dataclass(frozen=True)
class DatasetImages:
    """The stored samples of a dataset version, by row.

    Attributes
    ----------
    dataset : Dataset
    size_px : int
        Width of the model's images.
    """

    dataset: Dataset
    size_px: int

    def __post_init__(self) -> None:
        reference, manifest = f"{self.dataset.name}@{self.dataset.version}", self.dataset.manifest
        if manifest["problem"] != GALAXY:
            raise PredictionError(f"dataset {reference} is of problem {manifest['problem']!r}, not {GALAXY}")
        shape = tuple(self.dataset.pixels.shape[1:])
        if shape != (self.size_px, self.size_px, 3):
            raise PredictionError(
                f"dataset {reference} has images of shape {shape}, the model takes {(self.size_px, self.size_px, 3)}: "
                f"build it with size_px={self.size_px}, or give its images with images=DIR"
            )

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.dataset.name

    @property
    def identity(self) -> str:
        """Path and digest of the version, and the size of a block."""
        return f"{self.dataset.path}:{self.dataset.digest}:{block_rows(self.size_px)}"

    @property
    def count(self) -> int:
        """Number of stored samples."""
        return self.ledger.num_rows

    @cached_property
    def ledger(self) -> pa.Table:
        """Ledger rows of the stored samples by ``row``: id, row, and those of `FACTS` that the ledger has."""
        names = ("id", "row", "status", "ra_deg", "dec_deg", "group", "pixel_sha256", *LEDGER_RANGES)
        return stored_rows(self.dataset.samples(ledger_columns(self.dataset, names))).sort_by("row")

    def blocks(self, first: int = 0) -> Iterator[ImageBlock]:
        """Yield the stored samples by row."""
        step = block_rows(self.size_px)
        start, rows = first * step, self.ledger["row"].to_numpy()
        if start >= len(rows):
            return
        for images in image_blocks(self.dataset.pixels, rows[start:], step):
            part = self.ledger.slice(start, len(images))
            start += len(images)
            yield ImageBlock(part["id"].to_pylist(), images, [None] * len(images), self._facts(part))

    def _facts(self, part: pa.Table) -> pa.Table:
        request_px = self.dataset.manifest.get("request_px")
        known = {name: part[name] for name in part.column_names}
        known[IMAGE_PX] = pa.array([request_px] * part.num_rows, pa.float64())
        return pa.table([known.get(field.name, pa.nulls(part.num_rows, field.type)) for field in FACTS], schema=FACTS)


@dataclass(frozen=True)
class ArchiveImages:
    """The files of a folder or zip, by path; each is cut and averaged down as the model's training images were.

    Attributes
    ----------
    path : Path
    size_px : int
        Width of the model's images.
    crop_fraction : float
        Central part of an image that is kept.
    """

    path: Path
    size_px: int
    crop_fraction: float

    @property
    def name(self) -> str:
        """Name of the folder or zip."""
        return self.path.resolve().name.removesuffix(".zip")

    @property
    def identity(self) -> str:
        """Digest of the files' paths, sizes and times, of the crop, and of the size of a block."""
        states = [(member.path, *self._state(member)) for member in self.members]
        text = repr((str(self.path.resolve()), states, self.size_px, self.crop_fraction, block_rows(self.size_px)))
        return hashlib.sha256(text.encode()).hexdigest()

    def _state(self, member: ArchiveMember) -> tuple[int, int]:
        file = self.path / member.path if self.path.is_dir() else self.path
        status = file.lstat()
        return status.st_size, status.st_mtime_ns

    @property
    def count(self) -> int:
        """Number of files."""
        return len(self.members)

    @cached_property
    def members(self) -> list[ArchiveMember]:
        """The files, without those that an operating system hides.

        Raises
        ------
        PredictionError
            The path does not exist, is no folder or zip, or holds no image.
        """
        if not self.path.exists():
            raise PredictionError(f"images={self.path} does not exist")
        try:
            listed = list_archive(self.path)
        except ValueError as error:
            raise PredictionError(str(error)) from error
        files = (member for member in listed if member.fault != FOLDER and not _is_hidden(member.path))
        return sorted(files, key=lambda member: member.path)

    @cached_property
    def ids(self) -> list[str]:
        """The stem of each file's name; the whole path where several files have one stem."""
        stems = [split_suffix(member.path.replace("\\", "/").rsplit("/", 1)[-1])[0] for member in self.members]
        counts = Counter(stems)
        return [stem if counts[stem] == 1 else member.path for stem, member in zip(stems, self.members, strict=True)]

    def blocks(self, first: int = 0) -> Iterator[ImageBlock]:
        """Yield the files by path, decoded by several threads."""
        step, members = block_rows(self.size_px), self.members
        spans = [slice(start, start + step) for start in range(first * step, len(members), step)]
        with open_archive(self.path) as read:
            yield from map_in_order(lambda span: self._read_block(span, read), spans, processors())

    def _read_block(self, span: slice, read: Callable[[str], bytes]) -> ImageBlock:
        read_rows = [self._read(member, read) for member in self.members[span]]
        images = [image for image, _, _ in read_rows if image is not None]
        shape = (0, self.size_px, self.size_px, 3)
        facts = pa.Table.from_pylist([known for _, _, known in read_rows], FACTS)
        reasons = [reason for _, reason, _ in read_rows]
        return ImageBlock(self.ids[span], np.stack(images) if images else np.zeros(shape, np.uint8), reasons, facts)

    def _read(
        self, member: ArchiveMember, read: Callable[[str], bytes]
    ) -> tuple[NDArray[np.uint8] | None, str | None, dict[str, Any]]:
        """Return a file's image (size, size, 3), or the reason why there is none, and what is known of it."""
        known: dict[str, Any] = {"file": member.path}
        if member.fault is not None:
            return None, member.fault, known
        try:
            picture = read_image_file(read(member.path))
        except (ArchiveFileError, ImageFaultError) as fault:
            return None, str(fault), known
        sample, _ = to_sample(picture.pixels, self.size_px, self.crop_fraction)
        known |= {
            IMAGE_PX: min(picture.pixels.shape[:2]),
            "pixel_sha256": pixel_sha256(sample),
            "conversions": ", ".join(conversion_names(picture.conversions)) or None,
        }
        return sample, None, known


def _is_hidden(path: str) -> bool:
    """Return whether a file is one that operating systems leave beside others, such as ``.DS_Store``."""
    words = path.replace("\\", "/").split("/")
    return words[-1].startswith(".") or "__MACOSX" in words or words[-1].lower() in ("thumbs.db", "desktop.ini")
