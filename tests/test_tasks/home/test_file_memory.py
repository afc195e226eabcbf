"""What was read of a file is kept exactly as long as the file is unchanged."""

from pathlib import Path

from tasks.home.file_memory import FileMemory, read_each


def test_a_file_is_read_again_only_after_it_changed(tmp_path: Path) -> None:
    memory, path, calls = FileMemory(), tmp_path / "file", []

    def reader(path: Path) -> str:
        calls.append(path)
        return path.read_text()

    path.write_text("one")
    assert [memory.read(path, reader), memory.read(path, reader), memory.read(path, Path.read_bytes)] == [
        "one",
        "one",
        b"one",
    ]
    other = tmp_path / "other"
    other.write_text("two")
    other.replace(path)
    assert memory.read(path, reader) == "two"
    assert len(calls) == 2


def test_one_thing_that_cannot_be_read_is_named_beside_the_others() -> None:
    rows, faults = read_each(["1", "x", "3"], lambda text: 1 // (int(text) - 3), lambda text: f"thing {text}")
    assert rows == [-1]
    assert faults == [
        "thing x: invalid literal for int() with base 10: 'x'",
        "thing 3: integer division or modulo by zero",
    ]
