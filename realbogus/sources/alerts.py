"""Avro alert packets as records: one file, a folder of files, or a tar archive of files, plain or compressed.

Finding the packets reads the files' block marks (or the members of an archive) without decoding. Bytes that cannot be
decoded become one record with reason `corrupt`; the packets before them in the file are kept.
"""

import gzip
import hashlib
import io
import lzma
import tarfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from realbogus.epochs import to_utc
from realbogus.records import CORRUPT, DETECTION, BatchKey, FileSpan, Records, SourceError, make_records, read_records
from realbogus.sources.alert_packets import (
    Candidate,
    ForeignPacketError,
    PacketError,
    blank_triplet,
    explain_fault,
    read_candidate,
    read_triplet,
)
from realbogus.sources.alert_reading import describe_batch
from realbogus.sources.avro_files import AvroFaultError, find_blocks, read_header, read_packets
from realbogus.sources.gzip_files import UnpackedFile, unpack_bytes, unpack_file

BATCH_PACKETS = 1000
BATCH_BYTES = 128 << 20
MOST_MEMBER_BYTES = 64 << 20
"""Larger members of an archive are refused: they are read whole."""

MOST_UNPACKED_BYTES = 8 << 30
"""A gzipped file that unpacks to more is read up to here."""

_SUFFIXES = (".avro", ".avro.gz")
_WHOLE_FILE_BYTES = 1 << 20  # a smaller file is one span; its packets are counted when they are read
_ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
PACKET_SUFFIXES = (*_SUFFIXES, *_ARCHIVE_SUFFIXES)
"""Ends of the names of files of packets, in lower case."""

_ARCHIVE_FAULTS = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Fault:
    """Bytes that could not be decoded: an id made of them, the file, and the error."""

    id: str
    file: str
    error: str


Entry = tuple[Candidate, dict[str, Any]] | Fault


class AlertSource:
    """Alert packets of ZTF or Rubin.

    An instance keeps an archive open, so that batches read in order cost one pass over a compressed one.

    Parameters
    ----------
    path : Path
        An ``.avro`` or ``.avro.gz`` file, a folder that holds some at any depth, or a tar archive of them.
    stamp_px : int
        Width of the returned stamps; `alert_packets.read_triplet` cuts and pads others.

    Raises
    ------
    SourceError
        There is no such path.
    """

    def __init__(self, path: Path, stamp_px: int = 29, batch_packets: int = BATCH_PACKETS) -> None:
        if not path.exists():
            raise SourceError(f"{path} does not exist; alerts are an .avro file, a folder, or a tar archive of them")
        self.path, self.stamp_px, self.batch_packets = path, stamp_px, batch_packets
        self._archive: BinaryIO | None = None
        self._plain: tuple[Path, UnpackedFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_archive": None, "_plain": None}

    def files(self) -> list[Path]:
        """Return the packet files of a folder, sorted; else the one file or archive."""
        return _packet_files(self.path)

    def batches(self) -> list[BatchKey]:
        """Return the batches, in order of file name and place.

        Raises
        ------
        SourceError
            There is no packet file, or an archive holds one over `MOST_MEMBER_BYTES`.
        """
        batches: list[BatchKey] = []
        parts: list[FileSpan] = []
        packets = size = 0
        for part, count in self._find_parts():
            parts.append(part)
            packets, size = packets + count, size + part.count
            if packets >= self.batch_packets or size >= BATCH_BYTES:
                batches.append(_batch(parts))
                parts, packets, size = [], 0, 0
        if parts:
            batches.append(_batch(parts))
        if not batches:
            raise SourceError(f"{self.path} holds no .avro or .avro.gz file")
        return batches

    def ids(self, batch: BatchKey) -> list[str]:
        """Return the ids of a batch; packets are decoded, stamps are not."""
        return [entry.id if isinstance(entry, Fault) else entry[0].id for _, entry in self._entries(batch)]

    def places(self, batch: BatchKey) -> list[str]:
        """Return the file of each record."""
        return [file for file, _ in self._entries(batch)]

    def read(self, batch: BatchKey) -> Records:
        """Return the records of a batch."""
        rows: list[dict[str, Any]] = []
        candidates: list[Candidate] = []
        one_of_each: dict[bool, dict[str, Any]] = {}
        stamps: list[tuple[np.ndarray, np.ndarray, str | None]] = []
        notes: list[str] = []
        for file, entry in self._entries(batch):
            if isinstance(entry, Fault):
                rows.append(_fault_row(entry))
                stamps.append(blank_triplet(self.stamp_px, CORRUPT))
                notes.append(f"{file}: {entry.error}")
                continue
            candidate, packet = entry
            candidates.append(candidate)
            one_of_each.setdefault(candidate.rubin, packet)
            rows.append(_candidate_row(candidate))
            stamps.append(read_triplet(packet, candidate, self.stamp_px))
            if stamps[-1][2] is not None:
                rows[-1]["parameters"] |= {"file": file, "error": explain_fault(packet)}
                notes.append(f"{file}: packet {candidate.id}: {explain_fault(packet)}")
        triplets, outside, faults = zip(*stamps, strict=True) if stamps else ((), (), ())
        pixels = np.array(triplets, np.float32).reshape(-1, self.stamp_px, self.stamp_px, 3)
        columns = {name: [row[name] for row in rows] for name in _candidate_row(_EMPTY_CANDIDATE)}
        columns["epoch_mjd"] = _epochs_utc(columns.pop("mjd"), columns.pop("rubin")).tolist()
        reading = replace(describe_batch(candidates, one_of_each.values()), notes=tuple(notes))
        return make_records(columns, pixels, np.array(outside, bool).reshape(pixels.shape[:3]), faults, reading)

    def _entries(self, batch: BatchKey) -> Iterator[tuple[str, Entry]]:
        """Yield the entries of a batch, each with its file."""
        for part in batch.parts:
            name = self._name(part)
            with self._open(part) as stream:
                yield from ((name, entry) for entry in _read_entries(stream, part, name))

    def _name(self, part: FileSpan) -> str:
        if self.path.is_dir():
            return str(self.path / part.file)
        return f"{self.path}: {part.file}" if _is_archive(self.path) else str(self.path)

    def _open(self, part: FileSpan) -> BinaryIO:
        """Open the file of a span; a member of an archive is read into memory."""
        if self.path.is_dir() or not _is_archive(self.path):
            return self._open_file(self.path / part.file if self.path.is_dir() else self.path)
        try:
            return self._read_member(part)
        except _ARCHIVE_FAULTS:  # the archive is truncated or its compression broken: as if it were empty
            self._archive = None
            return io.BytesIO()

    def _open_file(self, path: Path) -> BinaryIO:
        """Open a file, a gzipped one as its unpacked copy, which is kept until another is opened."""
        if path.suffix.lower() != ".gz":
            return path.open("rb")
        if self._plain is None or self._plain[0] != path:
            self._plain = (path, unpack_file(path, MOST_UNPACKED_BYTES))
        return Path(self._plain[1].name).open("rb")

    def _read_member(self, part: FileSpan) -> BinaryIO:
        if self._archive is None:
            self._archive = cast(BinaryIO, tarfile.open(self.path).fileobj)  # noqa: SIM115
            weakref.finalize(self, self._archive.close)
        self._archive.seek(part.first)
        body = self._archive.read(part.count)
        return io.BytesIO(unpack_bytes(body, MOST_MEMBER_BYTES) if part.file.lower().endswith(_SUFFIXES[1]) else body)

    def _find_parts(self) -> Iterator[tuple[FileSpan, int]]:
        """Yield the spans of all files with their number of packets, 1 where it is unknown."""
        if _is_archive(self.path):
            yield from ((part, 1) for part in _archive_parts(self.path))
            return
        folder = self.path if self.path.is_dir() else self.path.parent
        for file in self.files():
            with self._open_file(file) as stream:
                yield from _file_parts(stream, file.relative_to(folder).as_posix(), self.batch_packets)


def read_alerts(path: Path, stamp_px: int = 29) -> Iterator[Records]:
    """Yield the records of alert packets, about 1,000 at a time; errors as of `AlertSource`."""
    yield from read_records(AlertSource(path, stamp_px))


def _batch(parts: list[FileSpan]) -> BatchKey:
    text = "\n".join(f"{part.file} {part.first} {part.count}" for part in parts)
    return BatchKey(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32], tuple(parts))


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(_ARCHIVE_SUFFIXES)


def _packet_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.name.lower().endswith(_SUFFIXES) and file.is_file())


def _file_parts(stream: BinaryIO, name: str, batch_packets: int) -> Iterator[tuple[FileSpan, int]]:
    """Yield spans of blocks, one batch each; the rest after an unreadable block is one span."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if size <= _WHOLE_FILE_BYTES:
        yield FileSpan(name, 0, size), 1
        return
    begin = end = packets = 0
    try:
        header = read_header(stream)
        begin = end = stream.tell()
        for block in find_blocks(stream, header):
            end, packets = block.end, packets + block.count
            if packets >= batch_packets or end - begin >= BATCH_BYTES:
                yield FileSpan(name, begin, end - begin), packets
                begin, packets = end, 0
    except AvroFaultError:
        end = size  # reading that span raises the same fault, which is recorded
    if end > begin:
        yield FileSpan(name, begin, end - begin), packets


def _archive_parts(path: Path) -> Iterator[FileSpan]:
    """Yield the members of an archive; if it is truncated, last a span of 0 bytes, which is read as corrupt."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.isreg() or not member.name.lower().endswith(_SUFFIXES):
                    continue
                if member.size > MOST_MEMBER_BYTES:
                    raise SourceError(f"{path}: {member.name} has {member.size} bytes: unpack the archive to a folder")
                yield FileSpan(member.name, member.offset_data, member.size)
    except _ARCHIVE_FAULTS:
        yield FileSpan(path.name, 0, 0)


def _read_entries(stream: BinaryIO, part: FileSpan, name: str) -> Iterator[Entry]:
    """Yield the candidates of a span with their packets; a fault of its bytes or its schema ends it."""
    first = 0 if isinstance(stream, io.BytesIO) else part.first
    try:
        header = read_header(stream)
        stream.seek(max(first, stream.tell()))
        for block in find_blocks(stream, header):
            for packet in read_packets(stream, header, block):
                yield _entry_of(packet, name)
            if block.end >= first + part.count:
                return
    except (AvroFaultError, ForeignPacketError) as error:
        stream.seek(first)
        digest = hashlib.sha256(stream.read(part.count) or name.encode("utf-8", "surrogateescape")).hexdigest()
        yield Fault(f"{digest[:32]}-{part.first}-corrupt", name, str(error))


def _entry_of(packet: dict[str, Any], name: str) -> Entry:
    """Return a packet's candidate, or the fault of this packet alone."""
    try:
        return read_candidate(packet), packet
    except PacketError as error:
        digest = hashlib.sha256(repr(packet).encode("utf-8", "surrogateescape")).hexdigest()
        return Fault(f"{digest[:32]}-corrupt", name, str(error))


_EMPTY_CANDIDATE = Candidate("", "", None, None, None, None, None, False, None, False, {})


def _epochs_utc(mjd: list[float | None], is_rubin: list[bool]) -> np.ndarray:
    """Return epochs in UTC, (n,), of those of the packets, which are in TAI where the packet is Rubin's."""
    epochs = np.array(mjd, np.float64)
    in_tai = np.array(is_rubin, bool) & np.isfinite(epochs)
    epochs[in_tai] = to_utc(epochs[in_tai], "tai")
    return epochs


def _candidate_row(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "group": candidate.group,
        "ra_deg": candidate.ra_deg,
        "dec_deg": candidate.dec_deg,
        "label": None,
        "kind": DETECTION,
        "detector": candidate.detector,
        "night": candidate.night,
        "mjd": candidate.mjd,
        "rubin": candidate.rubin,
        "parameters": candidate.parameters,
    }


def _fault_row(fault: Fault) -> dict[str, Any]:
    parameters = {"file": fault.file, "error": fault.error}
    return _candidate_row(_EMPTY_CANDIDATE) | {"id": fault.id, "group": fault.id, "parameters": parameters}
