"""Comparing the files of a version with its manifest, and the tables with each other."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.store.dataset import SAMPLES, Dataset
from tasks.store.errors import AccountError, DamagedError, without_remedy
from tasks.store.files import damaged_table, sha256_of_file
from tasks.store.version_files import OWN_DIGEST, file_names, manifest_digest
from tasks.store.versions import account, digest, split_hash

REQUIRED = ("name", "version", "parent", "digest", "schemes", "split_hash", "asked", "stored", "rejected")
"""Entries of every manifest that the tables are compared with."""
_TABLE_ROWS = 65_536


def manifest_problems(dataset: Dataset) -> list[str]:
    """Return what contradicts itself in a manifest."""
    manifest, path = dataset.manifest, dataset.path / "manifest.json"
    problems = [f"{path} has no entry {name!r}" for name in REQUIRED if name not in manifest]
    if OWN_DIGEST in manifest and manifest[OWN_DIGEST] != manifest_digest(manifest):
        problems.append(f"{path}: its entries have another sha256 than its {OWN_DIGEST!r}")
    if manifest.get("version") != int(dataset.path.name):
        problems.append(f"{path}: 'version' is {manifest.get('version')}, the folder is {dataset.path.name}")
    return problems


def check_files(version: Path, expected: dict[str, str] | None) -> tuple[int, list[str]]:
    """Read every table of a version and compare every file with the manifest's digest.

    Parameters
    ----------
    version : Path
        The version's folder.
    expected : mapping of relative path to sha256, or None
        None for a version that was written without.

    Returns
    -------
    tuple of (number of tables that were read in full, problems)
    """
    names = file_names(version)
    broken = {name: problem for name in names if name.endswith(".parquet") and (problem := _read_all(version / name))}
    tables = sum(name.endswith(".parquet") for name in names) - len(broken)
    problems = list(broken.values())
    if expected is None:
        return tables, problems
    problems += [f"{version / name} is missing" for name in sorted({*expected} - {*names})]
    problems += [f"{version / name} is not a file of this version" for name in names if name not in expected]
    problems += [
        f"{version / name} has another sha256 than the manifest's"
        for name in names
        if name in expected and name not in broken and sha256_of_file(version / name) != expected[name]
    ]
    return tables, problems


def _read_all(path: Path) -> str | None:
    """Read a table batch by batch; return what is wrong with it."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches(_TABLE_ROWS):
                pass
    except (pa.ArrowException, OSError, ValueError) as error:
        return without_remedy(damaged_table(path, error))
    return None


def table_problems(dataset: Dataset, ledger: pa.Table) -> list[str]:
    """Return where the tables contradict the manifest: counts, digest, split."""
    manifest, path = dataset.manifest, dataset.path
    problems = []
    try:
        stored, rejected = account(ledger)
    except AccountError as error:
        return [f"{path / SAMPLES}: {error}"]
    counted = {"asked": ledger.num_rows, "stored": stored, "rejected": rejected}
    problems += [
        f"{path / SAMPLES}: {name} is {count}, by the manifest {manifest.get(name)}"
        for name, count in counted.items()
        if manifest.get(name) != count
    ]
    if pc.count_distinct(ledger["row"].drop_null()).as_py() != stored:
        problems.append(f"{path / SAMPLES}: two samples have the same row")
    try:
        labels = {scheme: dataset.labels(scheme) for scheme in dataset.schemes}
        if digest(ledger, labels) != dataset.digest:
            problems.append(f"{path}: the digest of ids, pixel digests and labels is not the manifest's")
        if split_hash(dataset.split()) != manifest["split_hash"]:
            problems.append(f"{path / 'split.parquet'}: its hash is not the manifest's 'split_hash'")
    except (DamagedError, KeyError) as error:
        problems.append(f"{path}: the digest cannot be computed: {without_remedy(error)}")
    return problems
