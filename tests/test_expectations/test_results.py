"""Verdicts: what stops a publish."""

import pytest

from expectations.results import ValidationFailed, ValidationResult, require


def verdict(*set_failures, **row_failures):
    return ValidationResult("suite", 3, [], row_failures, list(set_failures))


def test_rows_that_fail_stop_nothing():
    require([verdict(), verdict(a="blank")])


def test_every_set_that_fails_is_told():
    with pytest.raises(ValidationFailed, match="first: a; second: b; third: c"):
        require([verdict("first: a", "second: b"), verdict(), verdict("third: c")])
