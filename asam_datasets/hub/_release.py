"""A release: everything that one flip makes visible, and what it takes away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from asam_datasets.builds import BUILD_FILE, Build, Built, encode_build
from asam_datasets.hub._card import DATA_FOLDER, README, render_card
from asam_datasets.sources import CaptionLine

ORGANIZED_FOLDER = "organized"


class _ControlNetLine(msgspec.Struct, frozen=True):
    """One line of `sa_000000-controlnet-train.json`, paths as in ASAM's organised folder."""

    source: str
    target: str
    prompt: str


@dataclass(frozen=True)
class Release:
    """The small files of the new version, by path in the repository, and all its builds."""

    builds: Sequence[Build]
    files: Mapping[str, bytes]

    @property
    def folders(self) -> set[str]:
        """The build folders that are visible."""
        return {build.folder for build in self.builds}


@dataclass
class Changes:
    """What a publish did: builds added, unchanged, and folders that are no longer visible."""

    added: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    uploaded_files: int = 0
    commits: int = 0


def make_release(
    current: Iterable[Build], built: Sequence[Built], captions: Mapping[str, str], *, location: str, title: str
) -> Release:
    """The next version: the current builds, with those of this run in place of the same archives' old ones."""
    builds = {build.archive: build for build in current}
    builds.update((one.build.archive, one.build) for one in built)
    ordered = [builds[name] for name in sorted(builds)]
    files = {README: render_card(ordered, location=location, title=title).encode()}
    files.update((f"{DATA_FOLDER}/{build.folder}/{BUILD_FILE}", encode_build(build)) for build in ordered)
    for one in built:
        files.update(organized_files(one, captions))
    return Release(ordered, files)


def organized_files(built: Built, captions: Mapping[str, str]) -> dict[str, bytes]:
    """ASAM's caption file and ControlNet list of one archive, in the order of the table; none without captions."""
    archive = built.build.archive
    lines: list[CaptionLine] = []
    pairs: list[_ControlNetLine] = []
    for image_id in built.ids.tolist():
        caption = captions.get(f"sa_{image_id}.jpg")
        if caption is not None:
            lines.append(CaptionLine(f"sa_{image_id}.jpg", caption))
            pairs.append(_ControlNetLine(f"{archive}/sa_{image_id}.png", f"{archive}/sa_{image_id}.jpg", caption))
    if not lines:
        return {}
    encoder = msgspec.json.Encoder()
    return {
        f"{ORGANIZED_FOLDER}/{archive}-blip2-caption.json": encoder.encode_lines(lines),
        f"{ORGANIZED_FOLDER}/{archive}-controlnet-train.json": encoder.encode_lines(pairs),
    }


def organized_archive(path: str) -> str | None:
    """The archive that a file in `organized/` belongs to; None for other files."""
    folder, _, name = path.partition("/")
    for ending in ("-blip2-caption.json", "-controlnet-train.json"):
        if folder == ORGANIZED_FOLDER and name.endswith(ending):
            return name.removesuffix(ending)
    return None
