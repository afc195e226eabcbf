"""The retry policy: at once, by a later build, or never."""

import pytest

from tasks.http.faults import is_retried_at_once, is_retried_later


@pytest.mark.parametrize(
    ("reason", "at_once", "later"),
    [
        ("http_408", True, True),
        ("http_425", True, True),
        ("http_429", True, True),
        ("http_500", True, True),
        ("http_502", True, True),
        ("http_503", True, True),
        ("http_504", True, True),
        ("timeout", True, True),
        ("connection_lost", True, True),
        ("wrong_type", True, True),
        ("truncated", True, True),
        ("undecodable", True, True),
        # A server error that repeating at once does not cure.
        ("http_501", False, True),
        # Another archive, catalogue or scheme may cure these.
        ("no_image", False, True),
        ("unreadable", False, True),
        ("ambiguous_image", False, True),
        ("folder", False, True),
        ("link_outside", False, True),
        ("empty", False, True),
        ("encrypted", False, True),
        ("crc_mismatch", False, True),
        ("too_large", False, True),
        ("too_large:over_286720_bytes_for_64_px", False, False),
        ("unsupported_format:fits", False, True),
        ("unsupported_compression:ppmd", False, True),
        ("no_position", False, True),
        ("scheme:votes", False, True),
        ("petro_r90_arcsec_missing", False, True),
        ("redshift_not_positive", False, True),
        # The service or the pixels refuse for good.
        ("http_400", False, False),
        ("http_404", False, False),
        ("http_301", False, False),
        ("blank", False, False),
        ("wrong_size", False, False),
        ("float_pixels", False, False),
        ("too_dim", False, False),
        ("values_finite", False, False),
        ("joins_two_groups", False, False),
    ],
)
def test_the_reason_decides_when_a_request_is_repeated(reason: str, at_once: bool, later: bool) -> None:
    assert is_retried_at_once(reason) == at_once
    assert is_retried_later(reason) == later
