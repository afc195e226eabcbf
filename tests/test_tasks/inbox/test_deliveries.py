"""Visits of a night: which are complete, what their digests say, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.inbox import deliveries
from tasks.inbox.deliveries import MARKER, Delivery, changed, list_visits, night_digest, settle
from tasks.inbox.looks import Looks
from tasks.inbox.nights import NightFolder

QUIET_S = 5.0


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def look(tmp_path: Path, clock: Clock) -> Callable[[], dict[str, Delivery]]:
    """Give a function that looks at the visits of the night ``inbox/2026-11-29``."""
    night = NightFolder("2026-11-29", tmp_path / "inbox" / "2026-11-29", tmp_path / "inbox")
    night.path.mkdir(parents=True)
    looks = Looks(tmp_path / "looks", QUIET_S, clock, clock)
    return lambda: {visit.name: visit for visit in list_visits(night, looks).visits}


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return tmp_path / "inbox" / "2026-11-29"


def frames(folder: Path, text: str = "pixels") -> Path:
    folder.mkdir(parents=True)
    (folder / "new1.fits").write_text(text)
    (folder / "ref1.fits").write_text("reference")
    return folder


def ignored(night: Path, tmp_path: Path) -> dict[str, str]:
    return list_visits(NightFolder(night.name, night, night.parent), Looks(tmp_path / "others")).ignored


def test_a_visit_is_complete_when_nothing_changed_for_the_quiet_time(look, night, clock) -> None:
    folder = frames(night / "v1")
    first = look()["v1"]
    assert (first.complete, first.settling, first.digest) == (False, True, None)
    clock.now_s += QUIET_S - 1
    (folder / "new1.fits").write_text("more pixels")
    assert not look()["v1"].complete
    clock.now_s += QUIET_S - 1
    assert not look()["v1"].complete, "the quiet time begins anew with a change"
    clock.now_s += 1
    complete = look()["v1"]
    assert (complete.complete, complete.kind, len(complete.digest)) == (True, "frames", 64)
    assert complete.first_seen == 100.0


def test_a_file_of_any_age_waits_for_the_quiet_time(look, night) -> None:
    os.utime(frames(night / "v1") / "new1.fits", (0, 0))
    assert not look()["v1"].complete


def test_a_clock_that_went_back_begins_the_quiet_time_anew(look, night, clock) -> None:
    frames(night / "v1")
    look()
    clock.now_s = 3.0
    assert not look()["v1"].complete
    clock.now_s += QUIET_S
    assert look()["v1"].complete


def test_a_marked_folder_is_complete_at_once_and_the_marker_is_no_content(look, night, clock) -> None:
    plain, marked = frames(night / "plain"), frames(night / "marked")
    (marked / MARKER).touch()
    assert look()["marked"].complete
    clock.now_s += QUIET_S
    look()
    clock.now_s += QUIET_S
    assert look()["plain"].digest == look()["marked"].digest
    assert plain.is_dir()


@pytest.mark.parametrize("name", ["new2.fits.part", "new2.TMP", "x.partial"])
def test_a_file_that_is_being_written_keeps_its_visit_waiting(look, night, name) -> None:
    folder = frames(night / "v1")
    (folder / MARKER).touch()
    (folder / name).touch()
    assert look()["v1"].waiting == f"{name} is being written"


def test_listed_frames_that_are_absent_are_waited_for(look, night) -> None:
    folder = frames(night / "v1")
    (folder / MARKER).touch()
    (folder / "pairs.csv").write_text("new,reference\nnew1.fits,ref1.fits\nnew2.fits,ref1.fits\n")
    assert "1 of 3 files" in look()["v1"].waiting
    assert "new2.fits" in look()["v1"].waiting
    (folder / "new2.fits").touch()
    assert look()["v1"].complete


def test_a_new_frame_waits_for_its_reference(look, night) -> None:
    folder = frames(night / "v1")
    (folder / MARKER).touch()
    (folder / "ref1.fits").rename(night / ".elsewhere")
    assert "1 frames new* and 0 ref*" in look()["v1"].waiting


def test_unfinished_entries_are_no_visits_yet(look, night, tmp_path) -> None:
    for name in (".v1", "v2.part", "v3.tmp"):
        frames(night / name)
    assert look() == {}
    assert ignored(night, tmp_path) == {}


def test_frames_directly_in_the_night_are_one_visit_of_its_name(look, night) -> None:
    (night / "new1.fits").touch()
    (night / "ref1.fits").touch()
    (night / "more").mkdir()
    (night / "more" / "mask.fits").touch()
    (visit,) = look().values()
    assert (visit.name, visit.path, len(visit.files)) == ("2026-11-29", night, 3)


def test_every_packet_file_is_a_visit_and_an_array_directory_is_one(look, night) -> None:
    (night / "alerts_1.avro.gz").write_bytes(b"a")
    (night / "packets").mkdir()
    (night / "packets" / "a.avro").write_bytes(b"b")
    (night / "stamps").mkdir()
    np.save(night / "stamps" / "stamps.npy", np.zeros(3))
    assert {name: visit.kind for name, visit in look().items()} == {
        "alerts_1": "alerts",
        "packets": "alerts",
        "stamps": "triplets",
    }


def test_links_out_of_the_inbox_and_bad_names_are_refused_by_name(look, night, tmp_path) -> None:
    secret = tmp_path / "secret.fits"
    secret.touch()
    frames(night / "linked").joinpath("new2.fits").symlink_to(secret)
    (night / "whole").symlink_to(tmp_path)
    listed = frames(night / "listed")
    (listed / "pairs.csv").write_text(f"new,reference\nnew1.fits,{secret}\n")
    frames(night / "a b")
    frames(night / "inside").joinpath("new2.fits").symlink_to(listed / "new1.fits")
    inside = {"new1.fits", "new2.fits", "ref1.fits"}
    assert {file.name for file in look()["inside"].files} == inside
    reasons = ignored(night, tmp_path)
    assert set(reasons) == {"linked", "whole", "listed", "a b"}
    assert all("out of the inbox" in reasons[name] for name in ("linked", "whole", "listed"))
    assert "rename it" in reasons["a b"]


def test_references_beside_the_visits_belong_to_the_digest(look, night, clock) -> None:
    references = frames(night.parent / "references")
    folder = night / "v1"
    folder.mkdir()
    (folder / MARKER).touch()
    (folder / "new1.fits").touch()
    (folder / "pairs.csv").write_text("new,reference\nnew1.fits,../../references/ref1.fits\n")
    before = look()["v1"].digest
    (references / "ref1.fits").write_text("another reference")
    assert changed(look()["v1"], before)
    assert changed(look()["v1"], None)
    assert not changed(look()["v1"], look()["v1"].digest)


def test_bytes_are_read_once_for_a_signature(look, night, clock, monkeypatch) -> None:
    (frames(night / "v1") / MARKER).touch()
    before = look()["v1"].digest

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(deliveries, "sha256_of_file", refuse)
    assert look()["v1"].digest == before


def test_a_look_without_digests_keeps_those_that_another_process_found(look, night, tmp_path, clock) -> None:
    (frames(night / "v1") / MARKER).touch()
    others = Looks(tmp_path / "looks", QUIET_S, clock, clock)
    folder = NightFolder(night.name, night, night.parent)
    (before,) = list_visits(folder, others, with_digests=False).visits
    earlier = others.read(night.name)
    digest = look()["v1"].digest
    others.write(night.name, earlier)
    (after,) = list_visits(folder, others, with_digests=False).visits
    assert (before.digest, after.digest) == (None, digest)
    (night / "v1" / "new1.fits").write_text("others")
    assert list_visits(folder, others, with_digests=False).visits[0].digest is None


def test_settling_ends_with_complete_visits(night, tmp_path) -> None:
    frames(night / "v1")
    looks = Looks(tmp_path / "looks", 0.1)
    folder = NightFolder(night.name, night, night.parent)
    assert [visit.complete for visit in settle(folder, looks).visits] == [True]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("xyz")), unique_by=lambda pair: pair[0]))
def test_the_digest_of_a_night_depends_on_names_and_digests_alone(pairs) -> None:
    visits = [Delivery("2026-11-29", name, Path(name), "frames", (), digest) for name, digest in pairs]
    digest = night_digest(visits)
    assert night_digest(reversed(visits)) == digest
    assert night_digest([*visits, Delivery("2026-11-29", "w", Path("w"), "frames", (), None, "waits")]) == digest
    assert night_digest([*visits, Delivery("2026-11-29", "z", Path("z"), "frames", (), "new")]) != digest
