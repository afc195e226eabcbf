"""Raw bytes by content and by request."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.store.raw import RawStore, StoredAnswer


def test_raw_bytes_are_found_by_request_and_damage_is_noticed(tmp_path: Path) -> None:
    raw = RawStore(tmp_path)
    sha256 = raw.put_answer("key", b"bytes")
    raw.put_refusal("other", "http_404")
    again = RawStore(tmp_path)
    kept = again.answer("key")
    assert kept is not None
    assert (kept.sha256, kept.content) == (sha256, b"bytes")
    refused = again.answer("other")
    assert refused is not None
    assert refused.reason == "http_404"
    assert again.answer("unknown") is None
    raw.path(sha256).write_bytes(b"torn")
    assert again.get(sha256) is None
    assert again.answer("key") is None
    assert again.put_answer("key", b"bytes") == sha256
    assert again.get(sha256) == b"bytes"
    raw.close()
    again.close()


def test_equal_bytes_are_one_file_named_by_their_digest(tmp_path: Path) -> None:
    raw = RawStore(tmp_path / "deep" / "raw")
    sha256 = raw.put(b"bytes")
    assert sha256 == hashlib.sha256(b"bytes").hexdigest()
    assert raw.path(sha256) == tmp_path / "deep" / "raw" / sha256[:2] / sha256
    written = raw.path(sha256).stat().st_mtime_ns
    assert raw.put(b"bytes") == sha256
    assert raw.path(sha256).stat().st_mtime_ns == written
    assert [path.name for path in raw.path(sha256).parent.iterdir()] == [sha256]
    assert raw.get(sha256) == b"bytes"
    assert raw.get("0" * 64) is None
    raw.close()
    raw.close()


def test_a_later_answer_replaces_a_refusal_and_a_missing_file_is_no_answer(tmp_path: Path) -> None:
    raw = RawStore(tmp_path)
    raw.put_refusal("key", "http_404")
    assert raw.answer("key") == StoredAnswer(None, None, "http_404")
    sha256 = raw.put_answer("key", b"")
    assert raw.answer("key") == StoredAnswer(sha256, b"", None)
    raw.path(sha256).unlink()
    assert raw.answer("key") is None
    raw.put_refusal("key", "http_410")
    assert raw.answer("key") == StoredAnswer(None, None, "http_410")
    raw.close()


def test_a_refusal_whose_bytes_are_gone_stays_a_refusal_without_them(tmp_path: Path) -> None:
    raw = RawStore(tmp_path)
    sha256 = raw.put(b"no image")
    raw.put_refusal("key", "wrong_size", sha256)
    assert raw.answer("key") == StoredAnswer(sha256, b"no image", "wrong_size")
    raw.path(sha256).unlink()
    assert raw.answer("key") == StoredAnswer(None, None, "wrong_size")
    raw.close()


def test_threads_share_the_index(tmp_path: Path) -> None:
    raw = RawStore(tmp_path)

    def keep(number: int) -> str:
        sha256 = raw.put_answer(f"key {number}", f"bytes {number % 3}".encode())
        raw.close()
        return sha256

    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(keep, range(40)))
    answers = [raw.answer(f"key {number}") for number in range(40)]
    assert [answer and answer.sha256 for answer in answers] == digests
    assert len(set(digests)) == 3
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    raw.close()
