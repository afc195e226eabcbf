"""Comparing everything that a version has a digest of: pixels, tables, manifest, raw bytes.

Shards are read one after the other and files in pieces: memory follows the ledger's columns that are compared.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset, published_number
from tasks.store.errors import DamagedTableError, DatasetNotFoundError, without_remedy
from tasks.store.files import damaged_table
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import download_version, manifest_object
from tasks.store.places import dataset_objects
from tasks.store.raw import look_at_raw
from tasks.store.schema import SAMPLES, VERSIONS, parse_reference, version_folder
from tasks.store.shards.byte_sources import Place
from tasks.store.verified_pixels import NAMED, check_pixels
from tasks.store.verified_tables import check_files, manifest_problems, table_problems
from tasks.store.version_files import FILES
from tasks.store.versions import stored_rows

COMPARED = ["id", "row", "group", "status", "reason", "pixel_sha256", "raw_sha256"]
"""The ledger's columns that are compared with others."""

Bars: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""From label and total to the function that advances a progress bar by a count."""


@dataclass
class Verification:
    """What was compared, and what is not as it was written.

    Attributes
    ----------
    dataset, version, format_version
        Of the version that was compared.
    samples : int
        Stored rows of the ledger; `pixels_ok` and `pixels_changed` add up to it.
    raw_checked, raw_missing, raw_changed : int
        Distinct raw files that the ledger names: read, absent, and of another content.
    tables : int
        Parquet files that were read in full.
    digest_ok : bool
        Counts, digest and the split's hash follow from the tables.
    problems : list of str
        A sentence each; empty if nothing is damaged.
    """

    dataset: str
    version: int
    format_version: int
    samples: int = 0
    pixels_ok: int = 0
    pixels_changed: int = 0
    raw_checked: int = 0
    raw_missing: int = 0
    raw_changed: int = 0
    tables: int = 0
    digest_ok: bool = False
    problems: list[str] = field(default_factory=list)

    def error(self) -> str:
        """Return one line about the problems, and what to do."""
        count = len(self.problems) - NAMED
        more = f"; and {count} more problem{'s' if count > 1 else ''}" if count > 0 else ""
        return (
            f"dataset {self.dataset!r} version {self.version} is damaged: {'; '.join(self.problems[:NAMED])}{more}. "
            f"Restore the named files from a backup of datasets/{self.dataset}, or build the dataset again under "
            "another name (raw bytes that are kept are not requested again)"
        )

    def summary(self) -> dict[str, Any]:
        """Return all attributes by name."""
        return asdict(self)


@contextmanager
def open_afresh(workspace: Workspace, reference: str) -> Iterator[Dataset]:
    """Open a version to be compared: one on an object store as it is there now, not as this machine keeps it.

    Raises
    ------
    DatasetNotFoundError
        There is no such dataset or version.
    """
    name, version = parse_reference(reference)
    objects = dataset_objects(workspace, name)
    number = None if objects is None else published_number(workspace, name)
    if objects is None or number is None:
        yield Dataset.open(workspace, reference)
        return
    wanted = number if version is None else version
    manifest = manifest_object(objects, wanted) if wanted <= number else None
    if manifest is None:
        raise DatasetNotFoundError(f"no dataset version {reference} in {workspace.address}/datasets")
    workspace.datasets.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=workspace.datasets) as made:
        folder = Path(made, name, VERSIONS, version_folder(wanted))
        folder.mkdir(parents=True)
        download_version(objects, wanted, manifest, folder, compare=False)
        yield Dataset.at(folder, objects)


def verify_version(dataset: Dataset, raw: Path | ObjectFolder, bars: Bars) -> Verification:
    """Compare a version with its digests; `raw` is the place of the raw bytes."""
    found = _compare_version(dataset, raw, bars)
    if dataset.objects is not None:  # the files that were compared are a copy, which nobody needs to find
        there = f"{dataset.objects}/{VERSIONS}/{dataset.path.name}"
        found.problems = [problem.replace(str(dataset.path), there) for problem in found.problems]
    return found


def _compare_version(dataset: Dataset, raw: Path | ObjectFolder, bars: Bars) -> Verification:
    folder = dataset.path
    found = Verification(folder.parents[1].name, int(folder.name), int(dataset.manifest["format_version"]))
    found.problems += manifest_problems(dataset)
    if found.problems:  # nothing else can be compared with a manifest that is not the one written
        return found
    found.tables, problems = check_files(folder, dataset.manifest.get(FILES))
    found.problems += problems
    try:
        ledger = read_compared(dataset)
    except DamagedTableError as error:  # only the ledger tells which pixels there should be
        found.problems += [] if problems else [without_remedy(error)]
        return found
    problems = table_problems(dataset, ledger)
    found.digest_ok = not problems
    found.problems += problems
    stored = stored_rows(ledger, ["id", "row", "pixel_sha256"]).sort_by("row")
    digests = pc.unique(ledger["raw_sha256"].drop_null())
    needed = frozenset(stored_rows(ledger, ["raw_sha256"])["raw_sha256"].to_pylist())
    del ledger
    found.samples = stored.num_rows
    with bars("pixels", stored.num_rows) as advance:
        found.pixels_changed, problems = check_pixels(dataset, stored, advance)
    found.pixels_ok = found.samples - found.pixels_changed
    found.problems += problems
    with bars("raw files", len(digests)) as advance:
        _check_raw(found, raw, digests, needed, advance)
    return found


def read_compared(dataset: Dataset) -> pa.Table:
    """Return the columns `COMPARED` of the ledger.

    Raises
    ------
    DamagedTableError
        It cannot be read, lacks one of them, or holds text that is none.
    """
    ledger = dataset.samples(COMPARED)
    lacking = [name for name in COMPARED if name not in ledger.column_names]
    if lacking:
        raise DamagedTableError(f"{dataset.path / SAMPLES} has no column {', '.join(lacking)}")
    try:
        ledger.validate(full=True)
    except pa.ArrowInvalid as error:
        raise damaged_table(dataset.path / SAMPLES, error) from error
    return ledger


def _check_raw(
    found: Verification,
    raw: Path | ObjectFolder,
    digests: pa.Array,
    needed: Collection[str],
    advance: Callable[[int], None],
) -> None:
    """Compare raw files with their names. If there is none of a dataset's, they are not kept here: no problem.

    Nor is it one if those are missing that no stored sample needs: what was received of rejected objects.
    """
    missing, changed, absent = [], [], 0
    for sha256 in digests.to_pylist():
        place, is_whole = look_at_raw(raw, sha256)
        if is_whole is None:
            absent += 1
            missing += [place] if sha256 in needed else []
        elif not is_whole:
            changed.append(place)
        advance(1)
    found.raw_missing, found.raw_changed = len(missing), len(changed)
    found.raw_checked = len(digests) - absent
    if missing and found.raw_checked:
        found.problems.append(f"raw files are missing: {_named(missing)}")
    if changed:
        found.problems.append(
            f"raw files have another content than their name says: {_named(changed)}; delete them, and a build that "
            "needs them requests them again"
        )


def _named(paths: list[Place]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(map(str, paths[:NAMED])) + more
