"""What must not be written anywhere: passwords in addresses, keys and tokens of the environment.

`mask` makes a text safe to write. `mask_log_records` applies it to every log record of this process before any handler
sees it, and so to the terminal, Prefect's log and Dask's. `require_no_secret` refuses an address that is recorded.
"""

import logging
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

MASK = "***"
LEAST_LETTERS = 6
"""A shorter value of a variable is no secret worth the name, and would be found within other words."""

_SECRET_NAME = re.compile(
    r"(^|_)(SECRET|TOKEN|PASSWORD|PASSWD|PASS|CREDENTIALS?|APIKEY|AUTH_STRING)(_|$)|ACCESS_KEY|API_KEY|PRIVATE_KEY"
)
_IN_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<who>[^\s/?#@:'\"]*)(?P<colon>:)(?P<word>[^\s/?#'\"]+)@", re.I
)
_LONE_USER = re.compile(r"(?P<scheme>https?://)(?P<who>[^\s/?#@:'\"]{20,})@", re.I)
"""A token in the place of a user's name, as some services take it."""
_IN_QUERY = re.compile(
    r"(?P<name>[?&](?:token|access_token|api_?key|key|password|secret|sig|signature|x-amz-signature|x-amz-credential|"
    r"x-amz-security-token)=)(?P<word>[^\s&#'\"]+)",
    re.I,
)
_IN_HEADER = re.compile(
    r"(?P<name>\bauthorization['\"]?\s*[:=,]\s*['\"]?(?:bearer|basic|token)\s+)(?P<word>[A-Za-z0-9+/_.~-]+=*)", re.I
)
_IN_VALUE = re.compile(r"^[a-z][a-z0-9+.-]*://[^\s/?#@:]*:(?P<word>[^\s/?#]+)@", re.I)


class SecretError(ValueError):
    """A value that is recorded holds a password or token; the message says where it belongs."""


def mask(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text without passwords, keys and tokens, each replaced by `MASK`.

    Parameters
    ----------
    text : str
    environment : mapping, optional
        Variables whose secrets are known; None: this process's own. Secret are the values of variables with such a
        name, as ``AWS_SECRET_ACCESS_KEY`` has it, and the passwords in the addresses that variables hold.
    """
    for word in secrets_of(tuple((os.environ if environment is None else environment).items())):
        text = text.replace(word, MASK)
    text = _IN_ADDRESS.sub(rf"\g<scheme>\g<who>:{MASK}@", text)
    text = _LONE_USER.sub(rf"\g<scheme>{MASK}@", text)
    text = _IN_QUERY.sub(rf"\g<name>{MASK}", text)
    return _IN_HEADER.sub(rf"\g<name>{MASK}", text)


def require_no_secret(value: str, what: str) -> str:
    """Return a value that is recorded as it is, such as the address of a service.

    Raises
    ------
    SecretError
        It holds a password or token.
    """
    if mask(value, {}) != value:
        raise SecretError(
            f"{what} {mask(value)} holds a password or token, which would be written into the run and its records: "
            "put it into ~/.netrc, or fetch the file yourself and name it"
        )
    return value


def mask_log_records() -> None:
    """Mask every log record that this process makes from now on; a second call does nothing."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def masked(*args: Any, **more: Any) -> logging.LogRecord:
        record = make(*args, **more)
        _mask_record(record)
        return record

    masked.masks = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(masked)


def _mask_record(record: logging.LogRecord) -> None:
    try:
        said = record.getMessage()
    except (TypeError, ValueError):  # the handler says that the arguments do not fit
        return
    if (safe := mask(said)) != said:
        record.msg, record.args = safe, ()
    if record.exc_info:
        # A formatter takes this text where it is there.
        record.exc_text = mask(logging.Formatter().formatException(record.exc_info))


@lru_cache(maxsize=2)  # every log record asks, of variables that seldom change; require_no_secret asks of none
def secrets_of(variables: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the secret words of variables, (name, value), the longest first: one may hold another."""
    found: set[str] = set()
    for name, value in variables:
        if _SECRET_NAME.search(name.upper()) and "://" not in value and not value.startswith("/"):
            found.add(value)
        if (address := _IN_VALUE.match(value)) is not None:
            found |= {address["word"], unquote(address["word"])}
    return tuple(sorted((word for word in found if len(word) >= LEAST_LETTERS), key=len, reverse=True))
