"""Python and the installed packages, compared with what the distribution asks for in `pyproject.toml`."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tasks.doctor.finding import Finding, ok

DISTRIBUTION = "starloom"
TENSORFLOWS = ("tensorflow", "tensorflow-cpu")
"""Distributions that hold the same files; exactly one may be installed."""
INSTALL = "`make install`, or for a GPU `make install EXTRA=gpu`"


def check_installation() -> list[Finding]:
    """Check Python, the required packages and TensorFlow."""
    asked = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    extras = {"cpu": "tensorflow-cpu", "gpu": "tensorflow"}
    tensorflow = {
        requirement.name: requirement.specifier
        for requirement in asked
        if requirement.name in TENSORFLOWS
        and requirement.marker is not None
        and any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
    }
    required = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [
        check_python(platform.python_version(), metadata(DISTRIBUTION)["Requires-Python"]),
        check_packages(required, installed_versions([one.name for one in required])),
        check_tensorflow(tensorflow, installed_versions(TENSORFLOWS)),
    ]


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of the distributions that are installed, by name."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_python(running: str, asked: str) -> Finding:
    """Check the version of Python against a specifier such as ``>=3.11,<3.14``."""
    if SpecifierSet(asked).contains(running, prereleases=True):
        return ok("Python", f"{running} (needs {asked})")
    return Finding("Python", "problem", f"{running}, needs {asked}", "make the environment with another Python")


def check_packages(required: Sequence[Requirement], installed: Mapping[str, str]) -> Finding:
    """Check that the required packages are installed (else a problem) in versions that are asked for (a warning)."""
    missing = [str(one.name) for one in required if one.name not in installed]
    others = [
        f"{one.name} {installed[one.name]}, needs {one.specifier}"
        for one in required
        if one.name in installed and not one.specifier.contains(installed[one.name], prereleases=True)
    ]
    if missing:
        return Finding("packages", "problem", "; ".join([f"missing: {', '.join(missing)}", *others]), INSTALL)
    if others:
        return Finding("packages", "warning", "; ".join(others), INSTALL)
    return ok("packages", f"{len(required)} required packages in versions that were asked for")


def check_tensorflow(asked: Mapping[str, SpecifierSet], installed: Mapping[str, str]) -> Finding:
    """Check that one TensorFlow is installed, in a version that is asked for."""
    found = ", ".join(f"{name} {number}" for name, number in installed.items())
    if not installed:
        return Finding("TensorFlow", "problem", "missing: nothing can be trained or scored", INSTALL)
    if len(installed) > 1:
        remedy = f"uninstall both, then {INSTALL}: they hold the same files"
        return Finding("TensorFlow", "problem", f"installed twice: {found}", remedy)
    [(name, number)] = installed.items()
    if name in asked and not asked[name].contains(number, prereleases=True):
        return Finding("TensorFlow", "warning", f"{found}, needs {asked[name]}", INSTALL)
    return ok("TensorFlow", found)
