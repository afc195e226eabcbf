"""A night beside the quiet nights before it: drift of its features, control charts of its efficiency."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.learning.drift.check import check_drift
from tasks.learning.drift.control_chart import ControlChart
from tasks.learning.drift.night_features import NightFeatures, read_features, write_features
from tasks.nightly.efficiency import ALL_MAGNITUDES, NightEfficiency, Step, efficiency_charts
from tasks.nightly.night_record import NightRecord
from tasks.store.files import write_table

FEATURES, FINDINGS = "features.parquet", "drift.parquet"
"""A night's features, and what the drift check found in each, in the folder of its record."""
STEPS: tuple[Step, ...] = ("detection", "classification")
BEYOND_DOUBT = 1e-4
"""A drift of a smaller p-value is a fault and no scatter: some three quiet nights in a thousand show one by chance."""


def is_quiet(record: NightRecord) -> bool:
    """Whether a night was worked through without a fault.

    A night with a drift that quiet nights might show is quiet too: to leave it out would narrow the scatter by which
    later nights are judged, and so raise ever more alarms.
    """
    if record.summary is None or record.state not in ("done", "redelivered"):
        return False
    drifted = (record.summary["drift"] or {}).get("drifted", [])
    return all(finding["p_value"] >= BEYOND_DOUBT for finding in drifted)


def find_drift(folder: Path, features: NightFeatures, quiet: Sequence[NightRecord]) -> dict[str, Any]:
    """Keep a night's features and findings in `folder`; return the check with the keys of a summary."""
    folder.mkdir(parents=True, exist_ok=True)
    write_features(folder / FEATURES, features)
    files = [record.folder / FEATURES for record in quiet]
    check = check_drift(features, [read_features(path) for path in files if path.is_file()])
    write_table(folder / FINDINGS, check.to_table())
    return {**check.to_summary(), "reasons": [str(finding) for finding in check.drifted]}


def chart_efficiency(tonight: NightEfficiency, quiet: Sequence[NightRecord]) -> dict[str, Any]:
    """Return a night's efficiency and its control charts over the quiet nights, with the keys of a summary."""
    before = _known_efficiencies(quiet)
    charts = _charts([*before, tonight], [night.night for night in before])
    return {**tonight.to_summary(), "charts": {step: chart.to_summary() for step, chart in charts.items()}}


def night_charts(nights: Sequence[NightRecord]) -> dict[str, ControlChart]:
    """Return the control charts of all nights that have an efficiency, by step; empty where none has one.

    Centre and limits are those of all quiet nights among them.
    """
    known = _known_efficiencies(nights)
    return _charts(known, [record.night for record in nights if is_quiet(record)]) if known else {}


def _known_efficiencies(nights: Sequence[NightRecord]) -> list[NightEfficiency]:
    """Return the efficiency of every night that has one."""
    summaries = [(record.night, (record.summary or {}).get("efficiency")) for record in nights]
    return [NightEfficiency.from_summary(night, summary) for night, summary in summaries if summary]


def _charts(nights: Sequence[NightEfficiency], quiet: Sequence[str]) -> dict[str, ControlChart]:
    return {step: efficiency_charts(nights, quiet, step)[ALL_MAGNITUDES] for step in STEPS}
