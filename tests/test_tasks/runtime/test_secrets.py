"""What is written has no secrets: those of addresses and of variables are masked, everything else stays as it is."""

import io
import logging
from collections.abc import Iterator

import pytest

from tasks.runtime.secrets import SecretError, mask, mask_log_records, require_no_secret, secrets_of

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
    "AWS_SESSION_TOKEN": "session-of-today",
    "MLFLOW_TRACKING_PASSWORD": "plain-password",
    "PREFECT_API_AUTH_STRING": "admin:of-prefect",
    "STARLOOM_MLFLOW_URI": "postgresql://star:p%40ss-word@db.example/mlflow",
    "AWS_REGION": "eu-central-1",
    "SSH_AUTH_SOCK": "/run/agent",
    "TOKEN": "short",
}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgresql+asyncpg://star:loom@db.example:5432/x?a=1", "postgresql+asyncpg://star:***@db.example:5432/x?a=1"),
        ("redis://:loom@db.example", "redis://:***@db.example"),
        ("two: http://a:b@c/ and s3://k:w@d/", "two: http://a:***@c/ and s3://k:***@d/"),
        ("https://ghp_0123456789abcdefghij@git.example/x", "https://***@git.example/x"),
        ("GET /?queue=a&token=abc-1#x", "GET /?queue=a&token=***#x"),
        ("https://s3.example/t.csv?X-Amz-Signature=9f&x=1", "https://s3.example/t.csv?X-Amz-Signature=***&x=1"),
        ("{'Authorization': 'Bearer abc.def-9'}", "{'Authorization': 'Bearer ***'}"),
    ],
)
def test_what_addresses_and_headers_hold_is_masked(text: str, safe: str) -> None:
    assert mask(text, {}) == safe
    assert mask(safe, {}) == safe


@pytest.mark.parametrize(
    "text",
    [
        *("http://127.0.0.1:4200/api", "s3://bucket/key:with/colon@2", "2026-11-30T12:00:00 a@b.example"),
        *("basic features of the bearer", "/data/token=3/x.fits", "tcp://scheduler:8786", "star@example.org"),
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text, {}) == text
    assert require_no_secret(text, "address") == text


def test_the_secrets_of_variables_are_known_wherever_they_stand() -> None:
    secret = {name: VARIABLES[name] for name in VARIABLES if name not in ("AWS_REGION", "SSH_AUTH_SOCK", "TOKEN")}
    words = [*(value for name, value in secret.items() if name != "STARLOOM_MLFLOW_URI"), "p@ss-word", "p%40ss-word"]
    for word in words:
        assert mask(f"a {word} b", VARIABLES) == "a *** b"
    for word in ("eu-central-1", "/run/agent", "short", "db.example"):
        assert mask(word, VARIABLES) == word


def test_variables_are_looked_through_when_they_change_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "the-first-word")
    assert mask("the-first-word, the-second-word") == "***, the-second-word"
    looks = secrets_of.cache_info().misses
    assert mask("again the-first-word") == "again ***"
    assert secrets_of.cache_info().misses == looks
    monkeypatch.setenv("A_TOKEN", "the-second-word")
    assert mask("the-first-word, the-second-word") == "the-first-word, ***"
    monkeypatch.delenv("A_TOKEN")
    assert mask("the-second-word") == "the-second-word"


def test_an_address_that_would_be_recorded_may_hold_none() -> None:
    with pytest.raises(SecretError, match=r"service_url https://star:\*\*\*@sky\.example holds a password") as refusal:
        require_no_secret("https://star:loom-9@sky.example", "service_url")
    assert "loom-9" not in str(refusal.value)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a handler writes, with a secret in the environment and in a message's arguments."""
    make, output = logging.getLogRecordFactory(), io.StringIO()
    handler = logging.StreamHandler(output)
    logging.getLogger("masked").addHandler(handler)
    monkeypatch.setenv("AWS_SESSION_TOKEN", VARIABLES["AWS_SESSION_TOKEN"])
    mask_log_records()
    mask_log_records()
    yield output
    logging.getLogger("masked").removeHandler(handler)
    logging.setLogRecordFactory(make)


def test_log_records_are_masked_with_their_arguments_and_tracebacks(written: io.StringIO) -> None:
    logger = logging.getLogger("masked")
    try:
        raise ConnectionError(f"no answer to {VARIABLES['AWS_SESSION_TOKEN']}")
    except ConnectionError:
        logger.exception("asked %s %d times", "http://a:hidden@b/", 3)
    logger.warning("plain %s", "words")
    text = written.getvalue()
    assert "asked http://a:***@b/ 3 times" in text
    assert "ConnectionError: no answer to ***" in text
    assert "plain words" in text
    assert not any(word in text for word in ("hidden", VARIABLES["AWS_SESSION_TOKEN"]))
