"""What is understood of alert packets, by survey."""

from realbogus.sources.alert_packets import PLANES, read_candidate
from realbogus.sources.alert_reading import describe_batch, read_fields

ZTF = {
    **{"objectId": "Z", "candid": 1, "schemavsn": "3.3", "prv_candidates": [{}]},
    "candidate": {"jd": 2459001.0, "ra": 1.0, "dec": 2.0, "rcid": 4, "fid": 1, "isdiffpos": "t", "aperture": [1.0]},
    **dict.fromkeys(PLANES),
}
RUBIN = {"diaSource": {"diaSourceId": 5, "midPointTai": 59000.0, "ra": 1.0, "decl": 2.0, "filterName": "r"}}


def test_the_field_of_each_quantity_is_named_and_others_are_ignored() -> None:
    reading = read_fields(ZTF)
    assert reading.understood == {
        **{"stamps": ", ".join(PLANES), "id": "candid", "group": "objectId", "ra": "ra", "dec": "dec", "time": "jd"},
        **{"detector": "rcid", "band": "fid", "sign": "isdiffpos"},
    }
    assert reading.ignored == ("schemavsn", "prv_candidates", "aperture")


def test_older_names_of_rubin_are_those_that_are_there() -> None:
    understood = read_fields(RUBIN).understood
    assert (understood["dec"], understood["time"], understood["band"]) == ("decl", "midPointTai", "filterName")
    assert "group" not in understood


def test_candidates_that_lack_a_quantity_are_counted() -> None:
    candidates = [read_candidate(ZTF), read_candidate(RUBIN)]
    reading = describe_batch(candidates, [ZTF, RUBIN])
    assert reading.missing == {"ra": 0, "dec": 0, "time": 0, "detector": 1, "label": 2}
    assert reading.understood["id"] == "candid, diaSourceId"
