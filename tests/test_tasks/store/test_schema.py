"""Names of datasets."""

import pytest

from tasks.store.errors import (
    DatasetNameError,
)
from tasks.store.schema import check_name, version_folder


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "..", "a" * 65, "a b", "é"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(DatasetNameError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a" * 64])
def test_names_of_the_allowed_characters_are_returned(name: str) -> None:
    assert check_name(name) == name


def test_version_folders_have_six_digits() -> None:
    assert [version_folder(number) for number in (1, 12, 1234567)] == ["000001", "000012", "1234567"]
