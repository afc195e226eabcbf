"""Versions against what is asked for: in range, out of range, missing, twice."""

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tasks.doctor.installation import check_installation, check_packages, check_python, check_tensorflow

ASKED = {"tensorflow": SpecifierSet(">=2.21,<2.22"), "tensorflow-cpu": SpecifierSet(">=2.21,<2.22")}


def test_this_environment_has_what_the_distribution_asks_for() -> None:
    assert {finding.subject: finding.state for finding in check_installation()} == {
        "Python": "ok",
        "packages": "ok",
        "TensorFlow": "ok",
    }


def test_python_has_to_be_in_the_range() -> None:
    states = {number: check_python(number, ">=3.11,<3.14").state for number in ("3.10.9", "3.11.0", "3.13.9", "3.14.0")}
    assert states == {"3.10.9": "problem", "3.11.0": "ok", "3.13.9": "ok", "3.14.0": "problem"}


def test_a_missing_package_is_a_problem_and_another_version_a_warning() -> None:
    required = [Requirement("prefect>=3.8,<3.9"), Requirement("zarr>=3")]
    good = {"prefect": "3.8.2", "zarr": "3.1"}
    assert check_packages(required, good).state == "ok"
    newer = check_packages(required, good | {"prefect": "3.9.0"})
    assert (newer.state, newer.value) == ("warning", "prefect 3.9.0, needs <3.9,>=3.8")
    missing = check_packages(required, {"prefect": "3.9.0"})
    assert (missing.state, missing.value) == ("problem", "missing: zarr; prefect 3.9.0, needs <3.9,>=3.8")
    assert "make install" in missing.remedy


def test_exactly_one_tensorflow_is_asked_for() -> None:
    assert check_tensorflow(ASKED, {}).state == "problem"
    assert check_tensorflow(ASKED, {"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0"}).state == "problem"
    assert check_tensorflow(ASKED, {"tensorflow": "2.22.0"}).state == "warning"
    assert check_tensorflow(ASKED, {"tensorflow-cpu": "2.21.1"}).state == "ok"
