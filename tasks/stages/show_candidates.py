"""What a person sees of a real/bogus build: triplets of each kind and origin, and what was found of the injections."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.cache_policies import NO_CACHE

from realbogus.audits.pictures import draw_triplet
from realbogus.injection.completeness import binned_completeness, fit_completeness
from tasks.learning.measures import Interval, wilson
from tasks.reports.contact_sheet import contact_sheet, to_jpeg
from tasks.reports.figures import completeness_figure
from tasks.reports.page import Figure, Table
from tasks.runtime.workspace import Workspace
from tasks.stages.show import funnel_of, show_dataset
from tasks.store.columns import to_bool, to_float
from tasks.store.dataset import Dataset
from tasks.store.versions import stored_rows

TRIPLETS_A_KIND = 12
TRIPLETS_AN_ORIGIN = 6
TRIPLETS_A_ROW = 6
MAGNITUDE_BINS = 8


@task(
    name="show-candidates",
    description="Summary, funnel of counts, contact sheets and completeness of a build",
    cache_policy=NO_CACHE,
)
def show_candidates(workspace: Workspace, summary: dict[str, Any]) -> None:
    """Write the page of a real/bogus build and its artifacts."""
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    funnel = [("injections and detections", summary["asked"]), *funnel_of(summary)]
    sheet = Figure(
        f"New, reference, difference of candidates of each kind ({summary['pixels']} pixels)",
        kind_sheet(dataset),
        "contact sheet by kind",
    )
    blocks: list[Any] = [
        Table("Stored candidates by kind", ("kind", "candidates"), list(summary["kinds"].items())),
        Table("Stored candidates by label", ("label", "candidates"), list(summary["labels"].items())),
        *_completeness(dataset),
    ]
    origins = origin_sheet(dataset)
    if origins is not None:
        told = "Detections labelled bogus by what they truly are (simulated), each with its share"
        blocks.append(Figure(told, origins, "contact sheet by origin"))
    show_dataset(workspace, dataset, summary, funnel, sheet, blocks)


def kind_sheet(dataset: Dataset) -> bytes:
    """Return a JPEG with triplets of each kind, as new, reference and difference side by side."""
    stored = stored_rows(dataset.samples(["id", "row", "status", "kind"]))
    chosen = []
    for kind in sorted(set(stored["kind"].to_pylist())):
        rows = stored.filter(pc.equal(stored["kind"], kind))["row"].to_pylist()
        chosen += [(row, kind.replace("_", " ")) for row in _spread(rows, TRIPLETS_A_KIND)]
    return _sheet(dataset, chosen)


def origin_sheet(dataset: Dataset) -> bytes | None:
    """Return a JPEG of what is labelled bogus, a row for each true origin; None where the truth is not known."""
    truth = dataset.truth()
    if truth is None:
        return None
    labels = dataset.labels(dataset.schemes[0])
    bogus = labels.filter(pc.equal(labels["label"], "bogus"))["id"].combine_chunks()
    truth = truth.filter(pc.is_in(truth["id"], bogus))
    samples = dataset.samples(["id", "row"])
    rows = dict(zip(samples["id"].to_pylist(), samples["row"].to_pylist(), strict=True))
    shares = Counter(truth["origin"].to_pylist())
    chosen = []
    for origin, count in shares.most_common():
        ids = truth.filter(pc.equal(truth["origin"], pa.scalar(origin)))["id"].to_pylist()
        caption = f"{origin}: {count} of {truth.num_rows} ({count / truth.num_rows:.1%})"
        mine = [(rows[sample_id], caption) for sample_id in _spread(ids, TRIPLETS_AN_ORIGIN)]
        chosen += mine + [(None, "")] * (-len(mine) % TRIPLETS_A_ROW)
    return _sheet(dataset, chosen)


def _spread(values: list[Any], count: int) -> list[Any]:
    """Return at most `count` of the values, evenly over the list."""
    return values[:: max(1, len(values) // count)][:count]


def _sheet(dataset: Dataset, chosen: list[tuple[int | None, str]]) -> bytes:
    """Return a JPEG of the given rows of the pixel array with captions; None leaves a place empty."""
    size = dataset.manifest["size_px"]
    blank = np.zeros_like(draw_triplet(np.zeros((size, size, 3), np.float32)))
    images = [blank if row is None else draw_triplet(np.asarray(dataset.pixels[row])) for row, _ in chosen]
    return to_jpeg(contact_sheet(images, [caption for _, caption in chosen], TRIPLETS_A_ROW))


def _completeness(dataset: Dataset) -> list[Any]:
    """Return the figure of what was found of the injections against magnitude, if there were any."""
    ledger = dataset.samples(["kind", "injected_mag", "found"])
    ledger = ledger.filter(pc.is_valid(ledger["found"]))
    mag = to_float(ledger["injected_mag"])
    found = to_bool(ledger["found"])
    if len(mag) == 0 or not np.isfinite(mag).all():
        return []
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
    figure = completeness_figure(curves, fit_completeness(mag, found))
    return [Figure("Share of the injections that is found, with 95 % intervals", figure, "completeness")]
