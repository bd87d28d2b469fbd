"""The pages of the docs that are made out of the program are as it would make them now; what pages link to is there."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, run_python

from asam_datasets.cli import main
from asam_datasets.cli._docs import PAGES
from asam_datasets.cli._help import GROUPS

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


def test_help_names_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every verb, as the installed package says where the docs are; or else in the repository."""

    def end_of_help(*words: str) -> str:
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        return capsys.readouterr().out.split("\n\n")[-1].strip()

    verbs = [verb for group in GROUPS.values() for verb in group]
    assert sorted(verbs) == sorted(PAGES)
    assert [page for page in PAGES.values() if not (DOCS / page).is_file()] == []
    about = tmp_path / "asam_datasets-9.dist-info"
    about.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    (about / "METADATA").write_text("Name: asam_datasets\nVersion: 9\n")
    assert end_of_help("publish") == "More: docs/jobs/publish.md in the repository"
    (about / "METADATA").write_text(
        "Name: asam_datasets\nVersion: 9\nProject-URL: Documentation, https://a.example/site/\n"
    )
    for verb in verbs:
        page = PAGES[verb].removesuffix("index.md").removesuffix(".md")
        assert end_of_help(verb) == f"More: https://a.example/site/{page}".rstrip("/") + "/"
    assert end_of_help() == "Docs: https://a.example/site/"


def test_pypi_gets_links_that_lead_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the repository on GitHub where a release is built; where nothing knows it, such links are their words."""
    pytest.importorskip("hatchling")
    hook = importlib.import_module("hatch_build").ProjectMetadata
    told = {}
    for repository in ("Some-One/asam", ""):
        monkeypatch.setenv("GITHUB_REPOSITORY", repository)
        told[repository] = dict[str, Any]()
        hook(str(ROOT), {"homepage": "https://a.example/"}).update(told[repository])
    at = "https://github.com/Some-One/asam"
    assert told["Some-One/asam"]["urls"] == {
        "Homepage": "https://a.example/",
        "Documentation": "https://some-one.github.io/asam/",
        "Repository": at,
        "Changelog": f"{at}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{at}/issues",
    }
    assert told[""]["urls"] == {"Homepage": "https://a.example/"}
    links = re.findall(r"\]\(([^)\s]+)", told["Some-One/asam"]["readme"]["text"])
    assert [link for link in links if not link.startswith("https://")] == []
    assert f"{at}/blob/HEAD/examples/recipes/README.md" in links
    assert f"{at}/raw/HEAD/docs/images/page.webp" in links
    text = told[""]["readme"]["text"]
    assert "](" not in text
    assert "recipes: HF Trainer" in text
