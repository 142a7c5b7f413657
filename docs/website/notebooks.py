"""Hook of MkDocs: each notebook of the tutorials becomes a page, code and text in their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def as_markdown(notebook: str) -> str:
    """The Markdown of a notebook's JSON; outputs are left out."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
    return "\n\n".join(parts) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages. The notebooks themselves are copied as they are."""
    from mkdocs.structure.files import File

    for path in sorted(Path(config.docs_dir, "tutorials").glob("*.ipynb")):
        page = f"tutorials/{path.stem}.md"
        files.append(File.generated(config, page, content=as_markdown(path.read_text("utf-8"))))
    return files
