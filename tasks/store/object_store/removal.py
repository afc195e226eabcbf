"""Removal of many objects of a dataset: noted first, so that one that was killed is finished by the next who comes.

Whoever builds the dataset or keeps house finishes it before anything else, so no object that is written later is lost
by a note of long ago. What makes a version or a dataset readable goes first: none is ever there in part.
"""

import json

from tasks.store.object_store.objects import ObjectFolder
from tasks.store.schema import BUILDERS, CURRENT
from tasks.store.version_files import MANIFEST

NOTE = "removing.json"
"""Object of a dataset with the prefixes of what is being removed."""


def remove_below(objects: ObjectFolder, prefixes: list[str]) -> None:
    """Remove all objects of a dataset below some prefixes; ``""`` stands for the whole dataset."""
    objects.put(NOTE, json.dumps(prefixes).encode())
    finish_removal(objects)


def finish_removal(objects: ObjectFolder) -> None:
    """Remove what the note of a dataset names, if it has one, then the note."""
    if not objects.has(NOTE):
        return
    keys = being_removed(objects)
    manifests = sorted(key for key in keys if key.endswith(f"/{MANIFEST}"))
    readable = [CURRENT, *manifests] if CURRENT in keys else manifests
    for key in readable:
        objects.delete(key)
    objects.delete_all(sorted(keys.difference(readable)))
    objects.delete(NOTE)


def being_removed(objects: ObjectFolder) -> set[str]:
    """Return the keys of the objects that a note names and that are still there."""
    note = objects.get(NOTE)
    if note is None:
        return set()
    named = {key for prefix in json.loads(note) for key in objects.names(prefix)} - {NOTE}
    return {key for key in named if not key.startswith(f"{BUILDERS}/")}
