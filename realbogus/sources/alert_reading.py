"""What was understood of alert packets: the field behind each quantity, the fields left out, the rows that lack one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from realbogus.readings import Reading, merge_readings
from realbogus.sources.alert_packets import FIELDS, PLANES, Candidate

_STAMPS = ", ".join(PLANES)
_RECORDS = ("candidate", "diaSource")


def read_fields(packet: Mapping[str, Any]) -> Reading:
    """Return quantity to field of a packet, and the fields of which nothing is kept.

    All scalar fields of the candidate's record are kept as parameters.
    """
    is_rubin = isinstance(packet.get("diaSource"), dict)
    record = packet[_RECORDS[is_rubin]]
    present = {**packet, **record}
    understood = {"stamps": _STAMPS}
    for quantity, names in FIELDS[is_rubin].items():
        found = next((name for name in names if present.get(name) is not None), None)
        if found is not None:
            understood[quantity] = found
    used = {*PLANES, *_RECORDS, *understood.values()}
    nested = [name for name, value in record.items() if isinstance(value, (dict, list, bytes))]
    return Reading(understood, (*(name for name in packet if name not in used), *nested))


def describe_batch(candidates: Sequence[Candidate], packets: Iterable[Mapping[str, Any]]) -> Reading:
    """Return the reading of a batch of candidates, `packets` holding one of each kind that occurs."""
    missing = {
        "ra": sum(candidate.ra_deg is None for candidate in candidates),
        "dec": sum(candidate.dec_deg is None for candidate in candidates),
        "time": sum(candidate.mjd is None for candidate in candidates),
        "detector": sum(candidate.detector is None for candidate in candidates),
        "label": len(candidates),
    }
    return merge_readings([*map(read_fields, packets), Reading(missing=missing)])
