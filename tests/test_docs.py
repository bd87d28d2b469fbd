"""The pages of the docs that are made out of the program are as it would make them now; what pages link to is there."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run_python

DOCS = ROOT / "docs"
PINNED = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


@pytest.mark.skipif(
    importlib.metadata.version("typer") != PINNED["typer"], reason="other versions of typer word --help otherwise"
)
def test_no_page_is_stale() -> None:
    ran = run_python(DOCS / "generate.py", "--check")
    assert (ran.code, ran.out.strip()) == (0, "")


def test_every_page_is_in_the_menu() -> None:
    text = re.sub(r"^hooks:.*$", "", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)

    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        each = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
        return [page for one in each for page in pages(one)]

    listed = pages(yaml.safe_load(text)["nav"])
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_of_the_repository_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not Path(ROOT, link).exists()] == []
