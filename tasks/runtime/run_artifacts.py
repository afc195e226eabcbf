"""Artifacts on the Prefect page of the present run: tables of numbers, a picture, links."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact


def put_summary(summary: Mapping[str, Any]) -> None:
    """Show the summary of a run as a table of names and values."""
    put_values("summary", summary)


def put_values(key: str, values: Mapping[str, Any]) -> None:
    """Show named values as a table under the key of an artifact."""
    create_table_artifact(key=key, table=[{"name": name, "value": str(value)} for name, value in values.items()])


def put_table(key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show rows under named columns as a table under the key of an artifact."""
    create_table_artifact(key=key, table=[dict(zip(columns, row, strict=True)) for row in rows])


def put_funnel(steps: Sequence[tuple[str, int]]) -> None:
    """Show how many rows each step of a run left or removed."""
    create_table_artifact(key="funnel", table=[{"step": step, "count": count} for step, count in steps])


def put_validation_link(page: Path) -> None:
    """Link the page of validation results."""
    create_link_artifact(key="validation", link=page.as_uri(), link_text="validation results")


def put_contact_sheet(caption: str, jpeg: bytes) -> None:
    """Show sample images below their caption."""
    encoded = base64.b64encode(jpeg).decode("ascii")
    create_markdown_artifact(key="contact-sheet", markdown=f"{caption}\n\n![samples](data:image/jpeg;base64,{encoded})")
