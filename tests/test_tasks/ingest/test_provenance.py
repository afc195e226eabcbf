"""The provenance of a catalogue, and the digest by which a request knows it."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.writing import PROVENANCE_KEY
from tasks.ingest.provenance import content_sha256, is_catalogue, read_provenance
from tasks.store.files import sha256_of_file

OWN = ("understood", "kept")


def written(path: Path, provenance: dict | None, rows: int = 3) -> Path:
    table = pa.table({"id": [str(number) for number in range(rows)]})
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        if provenance is not None:
            writer.add_key_value_metadata({PROVENANCE_KEY: json.dumps(provenance)})
    return path


@pytest.mark.parametrize("length", [1, 100, 200, 20_000])
def test_the_account_of_columns_makes_no_other_catalogue(tmp_path: Path, length: int) -> None:
    plain = written(tmp_path / "plain.parquet", {"name": "c", "rules": "\u03b1"})
    told = {"name": "c", "understood": {"id": "x" * length}, "rules": "\u03b1", "kept": ["y"]}
    account = written(tmp_path / "account.parquet", told)
    assert content_sha256(account, OWN) == content_sha256(plain, OWN) == sha256_of_file(plain)
    assert content_sha256(account, ()) == sha256_of_file(account)
    assert read_provenance(account) == told


def test_other_rows_and_other_facts_make_another(tmp_path: Path) -> None:
    one = written(tmp_path / "one.parquet", {"name": "c", "kept": []})
    digests = {
        content_sha256(one, OWN),
        content_sha256(written(tmp_path / "rows.parquet", {"name": "c"}, rows=4), OWN),
        content_sha256(written(tmp_path / "name.parquet", {"name": "d"}), OWN),
    }
    assert len(digests) == 3


def test_a_table_without_provenance_is_no_catalogue_and_has_its_file_s_digest(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", None)
    assert not is_catalogue(path)
    assert content_sha256(path, OWN) == sha256_of_file(path)
    with pytest.raises(CatalogueError, match=r"t.parquet is no catalogue"):
        read_provenance(path)
