"""Names of datasets and their versions."""

import pytest

from tasks.store.errors import DatasetNameError, DatasetNotFoundError
from tasks.store.schema import check_name, parse_reference, version_folder


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "..", "a" * 65, "a b", "é"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(DatasetNameError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a" * 64])
def test_names_of_the_allowed_characters_are_returned(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(("reference", "expected"), [("sky", ("sky", None)), ("sky@12", ("sky", 12))])
def test_a_reference_is_a_name_with_or_without_a_version(reference: str, expected: tuple[str, int | None]) -> None:
    assert parse_reference(reference) == expected


@pytest.mark.parametrize("reference", ["sky@x", "sky@-1", "sky@\N{SUPERSCRIPT TWO}", "sky@1@2"])
def test_a_version_that_is_no_number_is_refused(reference: str) -> None:
    with pytest.raises(DatasetNotFoundError, match=f"no dataset '{reference}': a version is a number"):
        parse_reference(reference)


def test_version_folders_have_six_digits() -> None:
    assert [version_folder(number) for number in (1, 12, 1234567)] == ["000001", "000012", "1234567"]
