"""A bill of materials is compared with every pin of the lock."""

import json
from pathlib import Path

from tests.bill_of_materials import missing_pins, pins

LOCK = Path(__file__).parents[1] / "requirements.lock"


def test_every_pin_of_the_lock_is_asked_for() -> None:
    lock = LOCK.read_text()
    found = pins(lock)
    assert len(found) == sum("==" in line and not line.startswith((" ", "#")) for line in lock.splitlines())
    whole = {"components": [{"name": name.upper().replace("-", "_"), "version": version} for name, version in found]}
    assert missing_pins(json.dumps(whole), lock) == []
    gone = whole["components"].pop()
    (absent,) = missing_pins(json.dumps(whole), lock)
    assert absent.split("==")[1] == gone["version"]
