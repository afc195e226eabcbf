"""Content of the page of a real/bogus build: triplets of each kind and origin, counts, and completeness."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from realbogus.audits.pictures import draw_triplet
from realbogus.injection.completeness import binned_completeness, fit_completeness
from tasks.candidates.building.rejected_stamps import CUT_AGAIN
from tasks.candidates.building.staged_rows import PADDED
from tasks.learning.intervals import Interval
from tasks.learning.measures import wilson
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.dataset_page import BuildReport, Preview, count_funnel
from tasks.reports.drawing import Drawing
from tasks.reports.figures import completeness_figure
from tasks.reports.page import Block, Figure, Table
from tasks.reports.understanding import understood_blocks
from tasks.store.columns import to_bool, to_float
from tasks.store.dataset import Dataset
from tasks.store.versions import stored_rows

TRIPLETS_PER_KIND = 12
TRIPLETS_PER_ORIGIN = 6
TRIPLETS_PER_ROW = 6
MAGNITUDE_BINS = 8

Item = TypeVar("Item")


def report_build(dataset: Dataset, summary: Mapping[str, Any], preview: Preview) -> BuildReport:
    """Return what is shown of a build, from its dataset version, its summary, and pictures of rejected candidates."""
    caption = f"New, reference and difference image of candidates of each kind ({summary['pixels']} pixels)"
    blocks: list[Block] = [
        Table("Stored candidates by kind", ("kind", "candidates"), list(summary["kinds"].items())),
        Table("Stored candidates by label", ("label", "candidates"), list(summary["labels"].items())),
    ]
    if summary["galaxy_share"]["asked"] is not None:
        blocks.append(Table("Injections near galaxies", ("injections", "share"), share_rows(summary["galaxy_share"])))
    if any(summary.get(PADDED, {}).values()):
        shares = [(frame, f"{fraction:.1%}") for frame, fraction in summary[PADDED].items()]
        blocks.append(Table("Padding of the frames, which has no data", ("frames", "fraction of the pixels"), shares))
    completeness = completeness_plot(dataset)
    if completeness is not None:
        caption_of_plot = "Completeness of the injections, with 95 % intervals"
        blocks.append(Figure(caption_of_plot, completeness, "completeness against magnitude"))
    origins = origin_sheet(dataset)
    if origins is not None:
        caption_of_origins = "Detections labelled bogus, by their true origin (simulated), with its fraction"
        blocks.append(Figure(caption_of_origins, origins, "contact sheet by origin"))
    blocks += understood_blocks(summary, "rows or frames")
    return BuildReport(
        funnel=count_funnel("injections and unmatched detections", summary["asked"], summary),
        sheet=Figure(caption, kind_sheet(dataset), "contact sheet by kind"),
        blocks=blocks,
        preview=preview,
        pictures_are=CUT_AGAIN,
    )


def share_rows(share: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """Return the rows of a table from the summary's ``galaxy_share``."""
    rows = [(name, "–" if share[name] is None else f"{share[name]:.1%}") for name in ("asked", "stored")]
    return rows if share["missing"] is None else [*rows, ("missing for the share", str(share["missing"]))]


def kind_sheet(dataset: Dataset) -> bytes:
    """Return a JPEG with triplets of each kind, as new, reference and difference side by side."""
    stored = stored_rows(dataset.samples(["id", "row", "status", "kind"]))
    tiles: list[tuple[int | None, str]] = []
    for kind in sorted(set(stored["kind"].to_pylist())):
        rows = stored.filter(pc.equal(stored["kind"], kind))["row"].to_pylist()
        tiles += [(row, kind.replace("_", " ")) for row in spread_evenly(rows, TRIPLETS_PER_KIND)]
    return _sheet(dataset, tiles)


def origin_sheet(dataset: Dataset) -> bytes | None:
    """Return a JPEG of candidates labelled bogus, one row per true origin; None if the truth is unknown."""
    truth = dataset.truth()
    if truth is None:
        return None
    labels = dataset.labels(dataset.schemes[0])
    bogus = labels.filter(pc.equal(labels["label"], "bogus"))["id"].combine_chunks()
    truth = truth.filter(pc.is_in(truth["id"], bogus))
    samples = dataset.samples(["id", "row"])
    rows = dict(zip(samples["id"].to_pylist(), samples["row"].to_pylist(), strict=True))
    counts = Counter(truth["origin"].to_pylist())
    tiles: list[tuple[int | None, str]] = []
    for origin, count in counts.most_common():
        ids = truth.filter(pc.equal(truth["origin"], pa.scalar(origin)))["id"].to_pylist()
        caption = f"{origin}: {count} of {truth.num_rows} ({count / truth.num_rows:.1%})"
        shown = [rows[sample_id] for sample_id in spread_evenly(ids, TRIPLETS_PER_ORIGIN)]
        tiles += [(row, caption) for row in shown] + [(None, "")] * (-len(shown) % TRIPLETS_PER_ROW)
    return _sheet(dataset, tiles)


def spread_evenly(values: Sequence[Item], count: int) -> Sequence[Item]:
    """Return at most `count` of the values, at equal steps through the sequence."""
    return values[:: max(1, len(values) // count)][:count]


def _sheet(dataset: Dataset, tiles: Sequence[tuple[int | None, str]]) -> bytes:
    """Return a JPEG of rows of the pixel array with captions; None leaves a place empty."""
    blank = np.zeros_like(draw_triplet(np.zeros(dataset.pixels.shape[1:], np.float32)))
    images = [blank if row is None else draw_triplet(np.asarray(dataset.pixels[row])) for row, _ in tiles]
    return to_jpeg(contact_sheet(images, [caption for _, caption in tiles], TRIPLETS_PER_ROW))


def completeness_plot(dataset: Dataset) -> Drawing | None:
    """Draw the completeness against magnitude by kind of injection; None without injections."""
    ledger = dataset.samples(["kind", "injected_mag", "found"])
    ledger = ledger.filter(pc.is_valid(ledger["found"]))
    mag = to_float(ledger["injected_mag"])
    found = to_bool(ledger["found"])
    if len(mag) == 0 or not np.isfinite(mag).all():
        return None
    edges = np.linspace(mag.min(), mag.max() + 1e-6, MAGNITUDE_BINS + 1)
    kinds = np.array(ledger["kind"].to_pylist())
    curves = {}
    for kind in sorted(set(kinds.tolist())):
        counted = binned_completeness(mag[kinds == kind], found[kinds == kind], edges)
        curves[kind.replace("_", " ")] = [
            (float(centre), Interval(k / n, *wilson(k, n)))
            for centre, (k, n) in zip((edges[:-1] + edges[1:]) / 2, counted, strict=True)
            if n
        ]
    return completeness_figure(curves, fit_completeness(mag, found))
