"""What was understood of an input, kept in the metadata of the Parquet file of its rows until it is reported."""

import pyarrow as pa

from realbogus.readings import Reading

_KEY = b"reading"


def keep_reading(table: pa.Table, reading: Reading) -> pa.Table:
    """Return a table whose metadata are the reading of its rows; other metadata are dropped."""
    return table.replace_schema_metadata({_KEY: reading.to_json()})


def kept_reading(schema: pa.Schema) -> Reading:
    """Return the reading of `keep_reading`; an empty one where there is none."""
    text = (schema.metadata or {}).get(_KEY)
    return Reading() if text is None else Reading.from_json(text)
