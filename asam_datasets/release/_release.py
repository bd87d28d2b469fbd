"""A release: everything that one release commit makes visible, and what it takes away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asam_datasets.builds import BUILD_FILE, Build, Built, encode_build
from asam_datasets.errors import RightsError
from asam_datasets.published import README, build_folders
from asam_datasets.release._card import LICENSE, render_card, render_license
from asam_datasets.rights import check_public, needs_gate
from asam_datasets.sources import CAPTION_LIST, CONTROLNET_LIST, encode_lists
from asam_datasets.tables import configs_of

ORGANIZED_FOLDER = "organized"


@dataclass(frozen=True)
class Release:
    """The small files of the new version, by path in the repository, and all its builds.

    `names` are the archives that this run has something to say about: those it built or removes.
    """

    builds: Sequence[Build]
    files: Mapping[str, bytes]
    names: frozenset[str]

    @property
    def paths(self) -> set[str]:
        """The build folders that are visible, such as `data/train/sa_000000-0123456789abcdef`."""
        return {build.path for build in self.builds}

    @property
    def configs(self) -> list[tuple[str, str]]:
        """Name of every config, and one of its splits."""
        return [(config.name, next(iter(config.splits))) for config in configs_of(self.builds)]

    @property
    def ordered(self) -> list[tuple[str, bytes]]:
        """The small files in the order of writing: README last, so that it never names what is not there."""
        return sorted(self.files.items(), key=lambda file: (file[0] == README, file[0]))

    def removals(self, paths: Iterable[str], shown: Iterable[Build], *, alone: bool) -> tuple[list[str], list[str]]:
        """Folders of builds, and other files, that go when this release is made: README first, then they.

        Args:
            paths: what lies in the target; a folder may stand for its files and ends with a slash then.
            shown: the builds that were visible before.
            alone: nobody else is at work there, so that what nothing shows is left over, whatever its name. Otherwise
                only names of this run are.
        """
        there = list(paths)
        before = {build.path for build in shown}
        folders = [
            folder
            for folder, name in build_folders(there).items()
            if folder not in self.paths and (alone or folder in before or name in self.names)
        ]
        files = [path for path in there if organized_archive(path) in self.names and path not in self.files]
        return folders, sorted(files)


@dataclass
class Changes:
    """What a publish did: folders of builds that are new, unchanged, and no longer there."""

    added: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    uploaded_files: int = 0
    uploaded_bytes: int = 0
    commits: int = 0

    def compare(self, release: Release, shown: Iterable[Build]) -> None:
        """Note which builds of a release were visible before."""
        self.added = sorted(release.paths - {build.path for build in shown})
        self.unchanged = sorted(release.paths - set(self.added))


@dataclass(frozen=True)
class ReleaseMaker:
    """Makes the next version of a dataset out of what is visible now; asked again when somebody else published first.

    Args:
        built: the builds of this run.
        removed: names of builds that are to vanish.
        captions: caption by file name, for the files in `organized/`.
        location: what `load_dataset` takes.
        title: heading of the card.
        gated: whether readers have to accept the terms first.
        public: whether everyone will see the dataset.
        terms_accepted: whether the publisher acknowledged SA-1B's terms.
    """

    built: Sequence[Built]
    removed: frozenset[str]
    captions: Mapping[str, str]
    location: str
    title: str
    gated: bool = False
    public: bool = False
    terms_accepted: bool = False

    def make(self, current: Iterable[Build], readme: str | None = None) -> Release:
        """The current builds, without the removed ones, with those of this run in place of the same names' old ones.

        Args:
            current: what is visible now.
            readme: the README that is there; what of it is its owner's stays.

        Raises:
            RightsError: the dataset is public, and somebody else has meanwhile added what may not be.
        """
        builds = {build.name: build for build in current if build.name not in self.removed}
        builds.update((one.build.name, one.build) for one in self.built)
        ordered = [builds[name] for name in sorted(builds)]
        holdings = [build.holding for build in ordered]
        if self.public:
            # Checked for the plan as well; but `current` may be newer than that.
            check_public(holdings, terms_accepted=self.terms_accepted)
            if needs_gate(holdings) and not self.gated:
                raise RightsError(
                    "expected a gate in front of SA-1B's images, found none: somebody added them meanwhile",
                    hint="Run the same command again; it puts the gate there first.",
                )
        card = render_card(ordered, location=self.location, title=self.title, gated=self.gated, existing=readme)
        license = render_license(holdings)
        files = {README: card.encode("utf-8", "surrogateescape"), LICENSE: license.encode()}
        files.update((f"{build.path}/{BUILD_FILE}", encode_build(build)) for build in ordered)
        for one in (one for one in self.built if one.build.kind == "train"):
            files.update(organized_files(one, self.captions))
        names = self.removed | {one.build.name for one in self.built}
        return Release(ordered, files, frozenset(names))


def organized_files(built: Built, captions: Mapping[str, str]) -> dict[str, bytes]:
    """ASAM's caption file and ControlNet list of one archive, in the order of the table; none without captions."""
    captioned = [(number, captions.get(f"sa_{number}.jpg")) for number in built.ids.tolist()]
    lists = encode_lists(built.build.name, [(number, text) for number, text in captioned if text is not None])
    return {f"{ORGANIZED_FOLDER}/{name}": content for name, content in lists.items()}


def organized_archive(path: str) -> str | None:
    """The archive that a file in `organized/` belongs to; None for other files."""
    folder, _, name = path.partition("/")
    for ending in (CAPTION_LIST, CONTROLNET_LIST):
        if folder == ORGANIZED_FOLDER and name.endswith(ending):
            return name.removesuffix(ending)
    return None
