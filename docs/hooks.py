"""Pages that are files of the repository: their links are written from its root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The changelog stands for itself; links to files outside of the docs are their names."""
    if page.file.src_uri == "changelog.md":
        markdown = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        markdown = re.sub(r"\]\(docs/", "](", markdown)
    return re.sub(r"\[([^\]]*)\]\((?:REPO/|\.\./examples/|\.\./benchmarks/)[^)]*\)", r"`\1`", markdown)
