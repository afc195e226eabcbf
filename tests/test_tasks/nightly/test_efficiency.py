"""Efficiency of a night: counts by hand, each injection in one bin, and the figure of its charts."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tasks.nightly.efficiency import ALL_MAGNITUDES, NightEfficiency, efficiency_charts, night_efficiency
from tasks.reports.control_charts import control_figure


def ledger_of(rows: Sequence[tuple[str, float | None, bool | None]]) -> pa.Table:
    ids, mags, found = zip(*rows, strict=True)
    columns: dict[str, Any] = {"id": pa.array(ids), "injected_mag": pa.array(mags, pa.float64())}
    return pa.table({**columns, "found": pa.array(found, pa.bool_())})


def scores_of(**logits: float | None) -> pa.Table:
    return pa.table({"id": list(logits), "logit": pa.array(list(logits.values()), pa.float64())})


def test_injections_are_counted_by_magnitude_and_step() -> None:
    rows = [
        *(("a", 16.2, True), ("b", 16.9, True), ("c", 16.5, False), ("d", 17.0, True), ("e", 17.3, True)),
        *(("star", None, None), ("dark", None, True)),
    ]
    night = night_efficiency("n", ledger_of(rows), scores_of(a=2.0, b=-1.0, d=1.0, e=None, star=9.0), 1.0)
    bright, faint = night.bins["16 to 17 mag"], night.bins["17 to 18 mag"]
    assert (bright.injected, bright.detected, bright.scored, bright.kept) == (3, 2, 2, 1)
    assert (faint.injected, faint.detected, faint.scored, faint.kept) == (2, 2, 1, 1)
    summary = night.to_summary()
    assert (summary["injected"], summary["detected"], summary["scored"], summary["kept"]) == (5, 4, 3, 2)
    assert (summary["detection"], summary["classification"], summary["completeness"]) == (0.8, 0.6667, 0.4)
    assert summary["detection_low"] < 0.8 < summary["detection_high"]
    assert NightEfficiency.from_summary("n", summary) == night


def test_a_night_without_injections_has_no_rates() -> None:
    night = night_efficiency("n", ledger_of([("star", None, None)]), scores_of(star=1.0), 0.0)
    summary = night.to_summary()
    assert (summary["injected"], summary["detection"], summary["bins"]) == (0, None, {})


def test_charts_of_a_month_find_the_night_whose_faint_injections_are_lost() -> None:
    rng = np.random.default_rng(0)
    nights = []
    for number in range(20):
        mag = rng.uniform(15, 18, 150)
        chance = 1 / (1 + np.exp((mag - (16.2 if number == 15 else 17.3)) / 0.3))
        found = rng.random(150) < chance
        rows = [(f"i{row}", float(mag[row]), bool(found[row])) for row in range(150)]
        scores = scores_of(**{f"i{row}": 1.0 for row in range(150)})
        nights.append(night_efficiency(f"{number:02d}", ledger_of(rows), scores, 0.0))
    charts = efficiency_charts(nights, [night.night for night in nights[:10]], "detection")
    assert list(charts) == [ALL_MAGNITUDES, "15 to 16 mag", "16 to 17 mag", "17 to 18 mag"]
    limits = {
        name: [point.night for point in chart.outside if point.outside == "limit"] for name, chart in charts.items()
    }
    assert limits[ALL_MAGNITUDES] == limits["16 to 17 mag"] == ["15"]
    image = Image.open(io.BytesIO(control_figure(charts, "detected / injected").png))
    assert image.width > image.height > 400
