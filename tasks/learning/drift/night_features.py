"""The features of one night's samples by stratum, such as the detector: what drift checks compare, as a small file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.store.columns import to_float, to_text
from tasks.store.files import whole_file

_STRATUM, _WEIGHT = "stratum", "weight"
_NIGHT, _VISITS = "night", "visits"


@dataclass(frozen=True)
class NightFeatures:
    """Features of one night's samples.

    Attributes
    ----------
    night : str
    strata : (n,) str
        The stratum of each sample.
    values : mapping of str to (n,) float
        By feature; NaN is missing.
    weights : (n,) float
        Of the samples, 0 to 1: the probability that each belongs to what is compared. All 1 by default.
    visits : mapping of str to int
        By stratum, how often it observed. Empty where samples do not come at a rate.
    """

    night: str
    strata: NDArray
    values: Mapping[str, NDArray]
    weights: NDArray = field(default_factory=lambda: np.empty(0))
    visits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.strata)
        if len(self.weights) == 0 and count:
            object.__setattr__(self, "weights", np.ones(count))
        lengths = {_WEIGHT: len(self.weights), **{name: len(values) for name, values in self.values.items()}}
        for name, length in lengths.items():
            if length != count:
                raise ValueError(f"night {self.night}: {name} has {length} values for {count} samples")

    @property
    def names(self) -> list[str]:
        """Every stratum with samples or visits, in order."""
        return sorted({*self.strata.tolist(), *self.visits})


def write_features(path: Path, night: NightFeatures) -> None:
    """Write a night's features as Parquet."""
    columns = {_STRATUM: pa.array(night.strata.tolist(), pa.string()), _WEIGHT: pa.array(night.weights, pa.float64())}
    columns |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in night.values.items()}
    facts = {_NIGHT: night.night, **{f"{_VISITS}.{name}": str(count) for name, count in night.visits.items()}}
    with whole_file(path) as unfinished:
        pq.write_table(pa.table(columns).replace_schema_metadata(facts), unfinished, compression="zstd")


def read_features(path: Path) -> NightFeatures:
    """Read what `write_features` wrote."""
    table = pq.read_table(path)
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    prefix = f"{_VISITS}."
    return NightFeatures(
        night=facts[_NIGHT],
        strata=to_text(table[_STRATUM]),
        values={name: to_float(table[name]) for name in table.column_names if name not in (_STRATUM, _WEIGHT)},
        weights=to_float(table[_WEIGHT]),
        visits={key.removeprefix(prefix): int(value) for key, value in facts.items() if key.startswith(prefix)},
    )
