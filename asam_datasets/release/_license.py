"""What a dataset says of its licenses: the file with all of them, keys of the YAML, and the questions at the gate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asam_datasets.builds import Build
from asam_datasets.release._inert import web_link, words
from asam_datasets.rights import OPEN, SA1B, Holding, Rights

LICENSE = "LICENSE.md"
LICENSES = "LICENSES-of-the-sets.md"
"""The list of licenses where `LICENSE.md` is somebody else's, which stays."""

_HEAD = """# Licenses

This dataset puts together sets of several owners; each is under its own terms, and using it means accepting them.
Captions and conditioning images follow the terms of the images that they were made from."""
_LINE = re.compile(r"|## .*|<https?://\S*>|- `[^`]*`(?: \(annotations only\))?", re.IGNORECASE)

SA1B_GATE: Mapping[str, Any] = {
    "extra_gated_heading": "Accept the terms of SA-1B to see these images",
    "extra_gated_prompt": (
        f"Images of this dataset are under SA-1B's terms, the {SA1B.license} ({SA1B.link}): for research only, not to "
        "identify people, and not to be given on without the same terms."
    ),
    "extra_gated_fields": {
        "Name": "text",
        "Affiliation": "text",
        "I use the images for research only and accept the SA-1B Dataset Research License": "checkbox",
        "I will not try to identify anybody in the images": "checkbox",
    },
    "extra_gated_button_content": "Accept and continue",
}


def gate(builds: Iterable[Build], file: str) -> dict[str, Any]:
    """The keys of the YAML for readers who have to accept the terms first.

    Args:
        builds: that the dataset shows.
        file: the name of the file with all licenses.
    """
    if any(build.rights == SA1B and build.images for build in builds):
        return dict(SA1B_GATE)
    return {
        "extra_gated_heading": "Accept the terms to see this dataset",
        "extra_gated_prompt": f"Each set of this dataset is under its own terms, which {file} lists.",
        "extra_gated_fields": {"Name": "text", "Affiliation": "text", "I accept these terms": "checkbox"},
        "extra_gated_button_content": SA1B_GATE["extra_gated_button_content"],
    }


def license_keys(builds: Sequence[Build], file: str) -> dict[str, str]:
    """The keys of the YAML about the license: that of all builds, or the file that lists them."""
    rights = {build.rights for build in builds}
    if rights == {SA1B}:
        name, link = "sa-1b-dataset-research-license", SA1B.link
    elif len(rights) == 1 and (one := next(iter(rights))).license in OPEN and one.link == OPEN[one.license]:
        return {"license": one.license}
    else:
        name, link = "several-see-license-file" if len(rights) > 1 else "see-license-file", file
    return {"license": "other", "license_name": name, "license_link": link}


def render_license(holdings: Iterable[Holding]) -> str:
    """The license file: the terms of each set, by license."""
    sets: dict[tuple[str, str], list[str]] = {}
    for holding in sorted(holdings):
        sets.setdefault((holding.rights.license, holding.rights.link), []).append(
            f"- `{holding.name}`" + ("" if holding.images else " (annotations only)")
        )
    sections = [
        "\n".join([f"## {words(name)}", "", *([f"<{web_link(link)}>", ""] if web_link(link) else []), *held])
        for (name, link), held in sorted(sets.items())
    ]
    return "\n\n".join([_HEAD, *sections]) + "\n"


def is_our_license(content: bytes) -> bool:
    """Whether a license file is one that a publish wrote, and nobody changed."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    return text.startswith(_HEAD) and all(_LINE.fullmatch(line) for line in text[len(_HEAD) :].split("\n"))


def describe(rights: Rights) -> str:
    """A license with its page, for the card."""
    link = web_link(rights.link)
    return f"[{words(rights.license)}]({link})" if link else words(rights.license)
