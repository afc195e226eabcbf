"""Which file of a folder or zip is an object's image, and what a file is that is none."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.archives.archive_index import ArchiveIndex, ArchiveMember, FoundImage, index_archive


def zipped(path: Path, members: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            archive.writestr(name, name)
    return path


def index(*paths: str) -> ArchiveIndex:
    return ArchiveIndex([ArchiveMember(path) for path in paths])


def found(index: ArchiveIndex, *names: str) -> str | FoundImage | None:
    image = index.find(names)
    return image.path if image is not None and image.path is not None else image


def test_folder_and_zip_are_listed_alike(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    names = ["a.jpg", "deep/er/b.JPEG", "c d.TiF", "e.webp", "notes.txt"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    for archive in (folder, zipped(tmp_path / "a.zip", names)):
        listed = index_archive(archive)
        assert [found(listed, name) for name in ("a", "b", "c d", "e")] == names[:4]
        assert found(listed, "notes") == FoundImage(None, "unsupported_format:txt", ("notes.txt",))
        assert found(listed, "er", "deep") == (FoundImage(None, "folder", ("deep/er",)) if archive == folder else None)
        assert found(listed, "z") is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("J101.5+02.25", "J101.5+02.25.jpg"),
        ("J101.5+02.25.jpg", "J101.5+02.25.jpg"),
        ("m51.north", "m51.north.png"),
        ("m51", None),
        ("IMG7", "deep/IMG7.JPG"),
        ("IMG7.jpg", "deep/IMG7.JPG"),
        ("deep/IMG7.JPG", "deep/IMG7.JPG"),
        ("./deep\\IMG7.JPG", "deep/IMG7.JPG"),
        ("elsewhere/IMG7.png", "deep/IMG7.JPG"),
        ("NGC-1.fits", "NGC-1.fits.jpg"),
        ("NGC-2.fits", "NGC-2.jpg"),
        ("587.1", "587.1"),
    ],
)
def test_a_dot_belongs_to_the_name_unless_a_known_suffix_follows(name: str, path: str | None) -> None:
    files = ("J101.5+02.25.jpg", "m51.north.png", "deep/IMG7.JPG", "NGC-1.fits.jpg", "NGC-2.jpg", "587.1")
    assert found(index(*files), name) == path


def test_two_files_for_one_name_are_ambiguous_and_a_path_decides() -> None:
    twice = index("one/a.jpg", "two/a.png", "b.jpg", "copy/b.jpg", "c.jpg", "c")
    both = FoundImage(None, "ambiguous_image", ("one/a.jpg", "two/a.png"))
    assert found(twice, "a") == both
    assert found(twice, "gone", "a", "b.jpg") == both
    assert found(twice, "a.png") == "two/a.png"
    assert found(twice, "one/a.jpg") == "one/a.jpg"
    assert found(twice, "b") == FoundImage(None, "ambiguous_image", ("b.jpg", "copy/b.jpg"))
    assert found(twice, "b.jpg") == "b.jpg"
    assert found(twice, "copy/b.jpg") == "copy/b.jpg"
    assert found(twice, "c") == "c.jpg"
    assert found(index("n.fits.jpg", "n.jpg"), "n.fits") == "n.fits.jpg"


def test_upper_and_lower_case_differ_only_where_both_are_there() -> None:
    files = index("M51.JPG", "NGC1.png", "ngc1.png", "a.jpg", "b/A.jpg")
    assert found(files, "m51.jpg") == found(files, "m51") == "M51.JPG"
    assert (found(files, "NGC1"), found(files, "ngc1.jpg")) == ("NGC1.png", "ngc1.png")
    assert found(files, "Ngc1") == FoundImage(None, "ambiguous_image", ("NGC1.png", "ngc1.png"))
    assert (found(files, "a"), found(files, "A")) == ("a.jpg", "b/A.jpg")


def test_a_file_that_is_no_image_counts_only_where_no_name_has_one() -> None:
    mixed = ArchiveIndex([ArchiveMember("a.fits", "unsupported_format:fits"), ArchiveMember("7.jpg")])
    assert found(mixed, "a.fits", "7") == "7.jpg"
    assert found(mixed, "a.fits", "8") == FoundImage(None, "unsupported_format:fits", ("a.fits",))


def test_links_out_of_the_folder_and_folders_are_not_images(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "d.jpg").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (folder / "a.jpg").write_bytes(b"x")
    (folder / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in.jpg").symlink_to(folder / "a.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    listed = index_archive(folder)
    assert found(listed, "out") == FoundImage(None, "link_outside", ("out.jpg",))
    assert found(listed, "d") == FoundImage(None, "folder", ("d.jpg",))
    assert found(listed, "secret") is None
    assert [found(listed, name) for name in ("a", "in", "loop")] == ["a.jpg", "in.jpg", "loop.jpg"]


def test_a_link_in_a_zip_is_not_an_image(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("a.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("b.jpg", b"")
    assert found(index_archive(tmp_path / "a.zip"), "a") == FoundImage(None, "link_outside", ("a.jpg",))


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "x\\..\\a.jpg"])
def test_a_zip_whose_members_point_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="has a member that points out of it"):
        index_archive(zipped(tmp_path / "a.zip", ["b.jpg", name]))


def test_an_archive_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    names = ["a.fits", "b.fits", "c.txt"]
    with pytest.raises(ValueError, match=r"holds no \.jpg.* file; it holds: 2 \.fits, 1 \.txt$"):
        index_archive(zipped(tmp_path / "a.zip", names))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="it holds: nothing"):
        index_archive(tmp_path / "empty")
    (tmp_path / "empty" / "a.jpg").symlink_to(tmp_path / "a.zip")
    with pytest.raises(ValueError, match="it holds: 1 links out of the folder"):
        index_archive(tmp_path / "empty")


def test_what_is_no_zip_is_refused_as_what_it_is(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", ["a.jpg", "b.jpg"]).read_bytes()
    tar = tmp_path / "tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(tmp_path / "whole.zip", "a.jpg")
    directory = whole.index(b"PK\x01\x02")
    for content, says in [
        (b"", "it is empty"),
        (whole[: directory + 10], f"it is a zip that is cut off after {directory + 10} bytes"),
        (whole[:directory] + b"PX" + whole[directory + 2 :], "Bad magic number for central directory"),
        (tar.read_bytes(), "it is a tar archive; unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "it is a 7z archive"),
        (b"\xff\xd8\xff\xe0", "it is a single image; give a folder or a zip"),
        (b"plain text", "File is not a zip file"),
    ]:
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(ValueError, match=f"is neither a folder nor a readable zip: {says}"):
            index_archive(tmp_path / "a.zip")
