"""Which page of the docs tells of a verb, and where that page is."""

from __future__ import annotations

import importlib.metadata

PAGES = {
    "caption": "jobs/captions.md",
    "catalog": "jobs/evaluation_sets.md",
    "demo": "index.md",
    "download": "jobs/download.md",
    "evaluate": "jobs/measure.md",
    "export": "export.md",
    "fetch": "fetch.md",
    "info": "jobs/look.md",
    "merge": "jobs/captions.md",
    "organize": "jobs/asams_folder.md",
    "preview": "jobs/look.md",
    "publish": "jobs/publish.md",
    "scale": "scale.md",
    "verify": "jobs/publish.md",
}


def where(page: str) -> str:
    """The page on the site that the installed package names; where it names none, in the repository."""
    site = _site()
    if not site:
        return f"docs/{page} in the repository"
    return f"{site}/{page.removesuffix('index.md').removesuffix('.md')}".rstrip("/") + "/"


def _site() -> str:
    try:
        urls = importlib.metadata.metadata("asam_datasets").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout on the path
        return ""
    named: dict[str, str] = dict(one.split(", ", 1) for one in urls)
    return named.get("Documentation", "").rstrip("/")
