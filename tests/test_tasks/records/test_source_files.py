"""Fingerprints of files: equal for the same ones, unlike after a change."""

import os
from pathlib import Path

import numpy as np

from realbogus.sources.alerts import AlertSource
from realbogus.sources.zenodo import ZenodoSource, write_published_layout
from tasks.records.source_files import fingerprint_files, list_record_files
from tests.small_triplets import open_triplets


def test_a_fingerprint_depends_on_name_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    absent = fingerprint_files([path])
    path.write_text("x")
    before = fingerprint_files([path])
    assert fingerprint_files([path]) == before != absent
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert fingerprint_files([path]) != before
    assert fingerprint_files([path, path]) != fingerprint_files([path])


def test_the_files_of_each_source_are_its_tables_and_packets(tmp_path: Path) -> None:
    triplets = tmp_path / "triplets"
    triplets.mkdir()
    np.save(triplets / "a.npy", np.zeros((2, 29, 29, 3), np.float32))
    (triplets / "a.csv").write_text("id\nx\ny\n")
    assert list_record_files(open_triplets(triplets)) == [triplets / "a.csv"]
    write_published_layout(tmp_path / "published", 2, 3, np.random.default_rng(0))
    names = [file.name for file in list_record_files(ZenodoSource(tmp_path / "published"))]
    assert names == ["params1.csv", "params2.csv"]
    (tmp_path / "night" / "deep").mkdir(parents=True)
    for name in ("b.avro", "deep/a.avro.gz", "notes.txt"):
        (tmp_path / "night" / name).write_bytes(b"")
    assert list_record_files(AlertSource(tmp_path / "night")) == [
        tmp_path / "night" / name for name in ("b.avro", "deep/a.avro.gz")
    ]
