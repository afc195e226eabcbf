"""A catalogue's Parquet while it is written: units in its fields, row groups, provenance at the end."""

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy.catalogue.columns import BY_NAME, VOTE_MEASURES

PROVENANCE_KEY = "starloom"
_FEWEST_ROWS_A_GROUP = 16_384


def united_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Unite tables' columns, the catalogue's own first and in their order, each with its unit and meaning."""
    present = {item.name: item.type for schema in schemas for item in schema}
    names = [name for name in BY_NAME if name in present] + [name for name in present if name not in BY_NAME]
    fields = []
    for name in names:
        column = BY_NAME.get(name)
        about = (
            {"unit": column.unit, "meaning": column.meaning} if column else {"unit": "", "meaning": "the table's own"}
        )
        fields.append(pa.field(name, present[name], metadata=about))
    return pa.schema(fields)


class CatalogueWriter:
    """Gathers batches into row groups and writes them, one group at a time, beside the caller's own work."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        own = [item.name for item in schema if not item.name.endswith(tuple(VOTE_MEASURES))]
        self.nulls = {name: 0 for name in own if name in BY_NAME}
        """Catalogue column, votes left out, -> rows written without a value there."""
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._parquet = pq.ParquetWriter(path, schema, compression="snappy", write_statistics=own)
        self._thread = ThreadPoolExecutor(1)
        self._encoding: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        self._parquet.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; columns that it lacks are null."""
        nulls = {f.name: pa.nulls(batch.num_rows, f.type) for f in self._schema if f.name not in batch.schema.names}
        columns = [nulls[f.name] if f.name in nulls else batch.column(f.name) for f in self._schema]
        self._waiting.append(pa.record_batch(columns, schema=self._schema))
        self.rows += batch.num_rows
        for name in self.nulls:
            self.nulls[name] += self._waiting[-1].column(name).null_count
        if sum(item.num_rows for item in self._waiting) >= _FEWEST_ROWS_A_GROUP:
            self._encode()

    def finish(self, provenance: dict[str, Any]) -> None:
        """Write what waits, and the provenance."""
        self._encode()
        self._wait()
        self._parquet.add_key_value_metadata({PROVENANCE_KEY: json.dumps(provenance)})

    def _encode(self) -> None:
        self._wait()
        group, self._waiting = pa.Table.from_batches(self._waiting, self._schema), []
        self._encoding = self._thread.submit(self._parquet.write_table, group, max(1, group.num_rows))

    def _wait(self) -> None:
        """Wait for the row group before: two are never held, and its error is raised here."""
        if self._encoding is not None:
            self._encoding.result()
            self._encoding = None
