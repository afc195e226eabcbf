"""The retry policy: which faults are retried at once, which a later build retries, and which are final.

A fault is named by its reason, as the ledger records it: ``http_STATUS``, ``timeout``, ``truncated``, ...
A reason that no rule below names is final: it is retried only by a build with ``retry_rejected=true``.
"""

# The service is busy or failing, or the answer was damaged on the way: the same request may succeed in seconds.
RETRIED_AT_ONCE = frozenset(
    {f"http_{status}" for status in (408, 425, 429, 500, 502, 503, 504)}
    | {"timeout", "connection_lost", "wrong_type", "truncated", "undecodable"}
)
# What a corrected archive or catalogue may supply next time.
RETRIED_BY_A_LATER_BUILD = frozenset(
    {"no_image", "ambiguous_image", "folder", "link_outside", "no_position"}
    | {"unreadable", "empty", "encrypted", "crc_mismatch", "too_large"}
)
# Server errors of every kind; rows that the requested scheme leaves out; formats and compressions.
_LATER_PREFIXES = ("http_5", "scheme:", "unsupported_")
# A quantity that the frame's size needs and the catalogue lacks.
_LATER_SUFFIXES = ("_missing", "_not_positive")


def is_retried_at_once(reason: str) -> bool:
    """Return whether the client repeats the request after a pause."""
    return reason in RETRIED_AT_ONCE


def is_retried_later(reason: str) -> bool:
    """Return whether the next build of the dataset tries a row that was rejected for `reason` again."""
    return (
        reason in RETRIED_AT_ONCE
        or reason in RETRIED_BY_A_LATER_BUILD
        or reason.startswith(_LATER_PREFIXES)
        or reason.endswith(_LATER_SUFFIXES)
    )
