"""Versions on an object store in memory: published by one write, finished by whoever comes next, copied once."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.store.errors import DamagedTableError, DatasetBusyError, DatasetNotFoundError, ObjectStoreError
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import (
    JOURNAL,
    copy_version,
    current_object,
    download_version,
    finish_publication,
    journals_of,
    keep_copy,
    publish_object_version,
    readers_of,
    state_token,
)
from tasks.store.version_files import MANIFEST, signed
from tests.memory_store import Died, Memory

OBJECTS = ObjectFolder("s3://bucket/w/datasets/sky")
FIRST, SECOND = "versions/000001", "versions/000002"
TABLES = {"samples.parquet": b"rows", "labels/kind.parquet": b"labels", "validation/index.html": b"page"}
JOURNALS = "staging/publish-me"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    memory.connect(monkeypatch)
    return memory


def made(folder: Path, number: int, mark: bytes = b"", journals: str = JOURNALS) -> Path:
    """The files of a version, the manifest among them."""
    for name, content in TABLES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content + mark)
    manifest = signed({"version": number, JOURNAL: f"{journals}/{number:06d}"}, folder)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def held() -> dict[str, bytes]:
    return {name: OBJECTS.get(name) or b"" for name in OBJECTS.names()}


def expected(*versions: Path, current: int) -> dict[str, bytes]:
    """What the store holds after these versions, of numbers from 1."""
    files = {
        f"versions/{number:06d}/{path.relative_to(version).as_posix()}": path.read_bytes()
        for number, version in enumerate(versions, 1)
        for path in version.rglob("*")
        if path.is_file()
    }
    return files | {"CURRENT": b"%d\n" % current}


def test_a_version_is_its_files_at_their_places_and_leaves_no_journal(memory: Memory, tmp_path: Path) -> None:
    one, two = made(tmp_path / "1", 1), made(tmp_path / "2", 2, b" more")
    assert current_object(OBJECTS) is None
    OBJECTS.put(f"{JOURNALS}/000009/left", b"by a publisher that was refused")
    publish_object_version(OBJECTS, 1, one, JOURNALS)
    assert (current_object(OBJECTS), held()) == (1, expected(one, current=1))
    publish_object_version(OBJECTS, 2, two, JOURNALS)
    assert (current_object(OBJECTS), held()) == (2, expected(one, two, current=2))


def test_the_manifest_is_what_publishes_wherever_a_publisher_dies(memory: Memory, tmp_path: Path) -> None:
    """After a death before each of its writes the next builder finds the version whole, or nothing of it."""
    files = made(tmp_path / "1", 1)
    outcomes = []
    for step in range(100):
        OBJECTS.clear()
        memory.left = step
        try:
            publish_object_version(OBJECTS, 1, files, JOURNALS)
        except Died:
            died = True
        else:
            died = False
        memory.left = None
        published = OBJECTS.has(f"{FIRST}/{MANIFEST}")
        assert died or published
        assert current_object(OBJECTS) in ({1, None} if published else {None})
        finish_publication(OBJECTS)
        assert current_object(OBJECTS) == (1 if published else None)
        places = {name: content for name, content in held().items() if not name.startswith(JOURNALS)}
        assert places == (expected(files, current=1) if published else {})
        outcomes.append(published)
        if not died:
            break
    # Three files in the journal and the manifest; then three files at their places, CURRENT, and three removals.
    assert outcomes == [False] * 4 + [True] * 8


def test_the_next_builder_needs_the_journal_only_for_what_is_not_at_its_place(memory: Memory, tmp_path: Path) -> None:
    files = made(tmp_path / "1", 1)
    memory.left = 6
    with pytest.raises(Died):
        publish_object_version(OBJECTS, 1, files, JOURNALS)
    memory.left = None
    there = [name for name in TABLES if OBJECTS.has(f"{FIRST}/{name}")]
    (absent,) = {*TABLES} - {*there}
    OBJECTS.delete(f"{JOURNALS}/000001/{there[0]}")
    OBJECTS.put(f"{JOURNALS}/000001/{absent}", b"other bytes")
    with pytest.raises(DamagedTableError) as refused:
        finish_publication(OBJECTS)
    message = f"{OBJECTS}/{FIRST}/{absent} is missing, and so are its bytes in {OBJECTS}/{JOURNALS}/000001; restore it"
    assert str(refused.value).startswith(message)
    assert current_object(OBJECTS) is None
    OBJECTS.put(f"{JOURNALS}/000001/{absent}", TABLES[absent])
    finish_publication(OBJECTS)
    assert held() == expected(files, current=1)


def test_other_bytes_at_a_place_of_the_version_are_replaced_by_those_of_the_journal(
    memory: Memory, tmp_path: Path
) -> None:
    files = made(tmp_path / "1", 1)
    memory.left = 4
    with pytest.raises(Died):
        publish_object_version(OBJECTS, 1, files, JOURNALS)
    memory.left = None
    OBJECTS.put(f"{FIRST}/samples.parquet", b"rowz")
    finish_publication(OBJECTS)
    assert held() == expected(files, current=1)


def test_of_two_publishers_the_second_changes_nothing_but_its_own_journal(memory: Memory, tmp_path: Path) -> None:
    one = made(tmp_path / "1", 1)
    publish_object_version(OBJECTS, 1, one, JOURNALS)
    before = held()
    other = made(tmp_path / "other", 1, b" of another", "staging/publish-other")
    message = "another process published version 1 of dataset 'sky' meanwhile, and this build adds to version 0"
    with pytest.raises(DatasetBusyError, match=message):
        publish_object_version(OBJECTS, 1, other, "staging/publish-other")
    assert held() == before


def test_a_publisher_that_comes_back_late_does_not_turn_current_back(memory: Memory, tmp_path: Path) -> None:
    one, two = made(tmp_path / "1", 1), made(tmp_path / "2", 2)
    publish_object_version(OBJECTS, 1, one, JOURNALS)
    publish_object_version(OBJECTS, 2, two, JOURNALS)
    publish_object_version(OBJECTS, 1, one, JOURNALS)  # whose answer to the manifest was lost
    assert held() == expected(one, two, current=2)


def test_several_unfinished_versions_are_finished_in_order(memory: Memory, tmp_path: Path) -> None:
    one, two = made(tmp_path / "1", 1), made(tmp_path / "2", 2)
    publish_object_version(OBJECTS, 1, one, JOURNALS)
    publish_object_version(OBJECTS, 2, two, JOURNALS)
    OBJECTS.delete("CURRENT")
    finish_publication(OBJECTS)
    assert held() == expected(one, two, current=2)


def test_a_version_above_the_published_one_that_names_no_journal_is_refused(memory: Memory) -> None:
    OBJECTS.put(f"{FIRST}/{MANIFEST}", b'{"files": {}}')
    with pytest.raises(DamagedTableError, match=f"{OBJECTS}/{FIRST}/{MANIFEST} is above the published version"):
        finish_publication(OBJECTS)
    OBJECTS.put("CURRENT", b"one")
    with pytest.raises(DamagedTableError, match=f"{OBJECTS}/CURRENT holds b'one', not the number of a version"):
        current_object(OBJECTS)


def test_a_version_is_copied_once_with_the_bytes_of_the_store(memory: Memory, tmp_path: Path) -> None:
    files, local = made(tmp_path / "1", 1), tmp_path / "state" / "datasets" / "sky"
    publish_object_version(OBJECTS, 1, files, JOURNALS)
    memory.asked.clear()
    for _ in range(3):
        copy = copy_version(OBJECTS, 1, local)
        assert copy == local / FIRST
        assert {name: (copy / name).read_bytes() for name in TABLES} == TABLES
    assert [memory.asked[name] for name in (*TABLES, f"{FIRST}/{MANIFEST}")] == [1, 1, 1, 3]
    assert OBJECTS.names(readers_of(1)) == [f"readers/000001/{state_token(local)}"]
    with pytest.raises(DatasetNotFoundError, match=f"no dataset version at {OBJECTS}/{SECOND}"):
        copy_version(OBJECTS, 2, local)


def test_a_copy_follows_the_manifest_and_not_the_number(memory: Memory, tmp_path: Path) -> None:
    local = tmp_path / "state" / "datasets" / "sky"
    publish_object_version(OBJECTS, 1, made(tmp_path / "1", 1), JOURNALS)
    copy_version(OBJECTS, 1, local)
    OBJECTS.clear()
    publish_object_version(OBJECTS, 1, made(tmp_path / "again", 1, b" again"), JOURNALS)
    assert (copy_version(OBJECTS, 1, local) / "samples.parquet").read_bytes() == b"rows again"
    assert len(OBJECTS.names(readers_of(1))) == 1, "it has read the new version too"


def test_who_only_looks_is_no_reader(memory: Memory, tmp_path: Path) -> None:
    publish_object_version(OBJECTS, 1, made(tmp_path / "1", 1), JOURNALS)
    copy_version(OBJECTS, 1, tmp_path / "state" / "datasets" / "sky", as_reader=False)
    assert OBJECTS.names("readers") == []


def test_the_publisher_s_own_files_become_its_copy(memory: Memory, tmp_path: Path) -> None:
    files, local = made(tmp_path / "made", 1), tmp_path / "state" / "datasets" / "sky"
    local.mkdir(parents=True)
    publish_object_version(OBJECTS, 1, files, JOURNALS)
    memory.asked.clear()
    keep_copy(OBJECTS, 1, files, local)
    assert copy_version(OBJECTS, 1, local) == local / FIRST
    assert not files.exists()
    assert [memory.asked[name] for name in TABLES] == [0, 0, 0]


def test_a_damaged_file_leaves_no_copy_and_is_named(memory: Memory, tmp_path: Path) -> None:
    files, local = made(tmp_path / "1", 1), tmp_path / "state" / "datasets" / "sky"
    publish_object_version(OBJECTS, 1, files, JOURNALS)
    OBJECTS.put(f"{FIRST}/labels/kind.parquet", b"labelz")
    with pytest.raises(DamagedTableError, match=f"{OBJECTS}/{FIRST}/labels/kind.parquet has another sha256"):
        copy_version(OBJECTS, 1, local)
    OBJECTS.delete(f"{FIRST}/labels/kind.parquet")
    with pytest.raises(DamagedTableError, match=f"{OBJECTS}/{FIRST}/labels/kind.parquet is missing"):
        copy_version(OBJECTS, 1, local)
    assert list((local / "versions").iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "labels/../../x", "../000002/samples.parquet"])
def test_a_name_that_leads_out_of_the_version_is_refused_before_anything_is_read(
    memory: Memory, tmp_path: Path, name: str
) -> None:
    manifest = json.dumps({"files": {name: hashlib.sha256(b"x").hexdigest()}}).encode()
    (tmp_path / "copy").mkdir()
    with pytest.raises(DamagedTableError, match=f"{OBJECTS}/{FIRST}: '{name}' is no name of a file of a version"):
        download_version(OBJECTS, 1, manifest, tmp_path / "copy")
    assert memory.asked.total() == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["copy", "labels", "validation"]


def test_a_version_whose_manifest_names_no_files_is_copied_as_it_is(memory: Memory, tmp_path: Path) -> None:
    for name in (*TABLES, MANIFEST):
        OBJECTS.put(f"{FIRST}/{name}", name.encode())
    (tmp_path / "copy").mkdir()
    download_version(OBJECTS, 1, b"{}", tmp_path / "copy")
    found = {path.relative_to(tmp_path / "copy").as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {
        **{name: name.encode() for name in TABLES},
        MANIFEST: b"{}",
    }
    with pytest.raises(DamagedTableError, match=f"{OBJECTS}/{FIRST}/{MANIFEST} cannot be read"):
        download_version(OBJECTS, 1, b"{", tmp_path / "copy")


def test_a_state_folder_has_one_word_whoever_asks_first(tmp_path: Path) -> None:
    folders = [tmp_path / "state" / "datasets" / name for name in ("sky", "night")] * 8
    with ThreadPoolExecutor(8) as pool:
        (word,) = set(pool.map(state_token, folders))
    assert journals_of(folders[0]) == f"staging/publish-{word}"
    assert state_token(tmp_path / "another" / "datasets" / "sky") != word


def test_other_bytes_than_were_written_stop_a_publication(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, get = made(tmp_path / "1", 1), ObjectFolder.get_with_tag

    def changed(objects: ObjectFolder, key: str) -> tuple[bytes, str] | None:
        found = get(objects, key)
        return found and (found[0][:-1], found[1]) if key.endswith("samples.parquet") else found

    monkeypatch.setattr(ObjectFolder, "get_with_tag", changed)
    with pytest.raises(ObjectStoreError, match=r"samples\.parquet was written with 4 bytes .* returns 3 bytes"):
        publish_object_version(OBJECTS, 1, files, JOURNALS)
    assert not OBJECTS.has(f"{FIRST}/{MANIFEST}")
