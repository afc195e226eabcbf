"""`python -m tests.bill_of_materials SBOM LOCK`: whether a CycloneDX bill of materials has every pin of a lock."""

import json
import re
import sys
from pathlib import Path

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)


def pins(lock: str) -> set[tuple[str, str]]:
    """Return the normalised names and versions of a lock's text."""
    return {(_normalised(pin["name"]), pin["version"]) for pin in _PIN.finditer(lock)}


def missing_pins(bill: str, lock: str) -> list[str]:
    """Return the pins that the bill, a text of JSON, has not."""
    components = json.loads(bill)["components"]
    listed = {(_normalised(one["name"]), one.get("version", "")) for one in components}
    return [f"{name}=={version}" for name, version in sorted(pins(lock) - listed)]


def _normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    bill, lock = (Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3])
    if absent := missing_pins(bill, lock):
        sys.exit(f"{sys.argv[1]} lacks {len(absent)} of {len(pins(lock))} pins: {', '.join(absent)}")
    print(f"{sys.argv[1]} has all {len(pins(lock))} pins of {sys.argv[2]}")
