"""Hook of mkdocs: a notebook ``NAME.ipynb`` becomes the page ``NAME.md`` beside it, its code cells as blocks of Python.

Notebooks are stored without outputs, so a page has none.
"""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page = notebook.src_uri.removesuffix(".ipynb") + ".md"
        content = markdown_of(Path(notebook.abs_src_path), Path(notebook.src_uri).name)
        files.append(File.generated(config, page, content=content))
    return files


def markdown_of(path: Path, address: str) -> str:
    """Return a notebook's cells as Markdown, and a link to `address`, where the notebook itself is.

    The link follows the first cell, which holds the title.
    """
    first, *others = json.loads(path.read_text(encoding="utf-8"))["cells"]
    link = f"[This page as a notebook]({address}), to open with Jupyter."
    return "\n\n".join([_source(first), link, *map(_source, others), ""])


def _source(cell: dict) -> str:
    text = "".join(cell["source"])
    return text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
