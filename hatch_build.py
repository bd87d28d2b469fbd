"""What PyPI shows, made where the package is built: the project's pages, and README with links that lead somewhere.

A build on GitHub, as the release workflow's, knows its repository, whose docs are on Pages. Elsewhere
`[tool.hatch.metadata.hooks.custom]` of pyproject.toml may name `repository` and `documentation`. Without a repository
README's links to files become their names, and its pictures stay away.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)]+)\)")


class ProjectMetadata(MetadataHookInterface):
    """Sets `urls` and `readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set what is dynamic."""
        repository, documentation = _places(self.config, os.environ)
        metadata["urls"] = project_urls(self.config["homepage"], repository, documentation)
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_absolute_links(text, repository)}


def _places(config: dict[str, Any], environment: Any) -> tuple[str, str]:
    repository, documentation = config.get("repository", ""), config.get("documentation", "")
    known = environment.get("GITHUB_REPOSITORY", "")
    if not repository and known:
        owner, _, name = known.partition("/")
        repository = f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{known}"
        documentation = documentation or f"https://{owner.lower()}.github.io/{name}/"
    return repository.rstrip("/"), documentation


def project_urls(homepage: str, repository: str, documentation: str) -> dict[str, str]:
    """The pages that are known, as PyPI lists them."""
    urls = {"Homepage": homepage}
    if documentation:
        urls["Documentation"] = documentation
    if repository:
        urls |= {
            "Repository": repository,
            "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
            "Issues": f"{repository}/issues",
        }
    return urls


def with_absolute_links(text: str, repository: str) -> str:
    """Markdown whose links to files lead into the repository; to none, if it is not known."""

    def replaced(link: re.Match[str]) -> str:
        mark, words, path = link.groups()
        if not repository:
            return "" if mark else words
        return f"{mark}[{words}]({repository}/{'raw' if mark else 'blob'}/HEAD/{path})"

    return _LINK.sub(replaced, text)
