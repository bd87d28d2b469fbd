"""A release: everything that one release commit makes visible, and what it takes away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asam_datasets.builds import BUILD_FILE, Build, Built, encode_build
from asam_datasets.errors import RightsError
from asam_datasets.published import README, Visible, build_folders, encode_index, is_index
from asam_datasets.release._assets import is_asset, make_assets
from asam_datasets.release._card import Showing, render_card
from asam_datasets.release._license import LICENSE, LICENSES, render_license
from asam_datasets.release._owner import Words
from asam_datasets.rights import check_public, needs_gate
from asam_datasets.sources import CAPTION_LIST, CONTROLNET_LIST, encode_lists
from asam_datasets.tables import configs_of

ORGANIZED_FOLDER = "organized"


@dataclass(frozen=True)
class Release:
    """The small files of the new version, by path in the repository, and all its builds.

    `names` are the archives that this run has something to say about: those it built or removes. `folders` and
    `removed` are the folders of builds, and other files, that go with it. `settled` is README as it may be once they
    are gone; it shows the same.
    """

    builds: Sequence[Build]
    closed: frozenset[str]
    files: Mapping[str, bytes]
    names: frozenset[str]
    folders: Sequence[str] = ()
    removed: Sequence[str] = ()
    settled: bytes = b""

    @property
    def paths(self) -> set[str]:
        """The build folders that are visible, such as `data/train/sa_000000-0123456789abcdef-r0123456789ab`."""
        return {build.path for build in self.builds}

    @property
    def configs(self) -> list[tuple[str, str]]:
        """Name of every config, and one of its splits."""
        return [(config.name, next(iter(config.splits))) for config in configs_of(self.builds)]

    @property
    def ordered(self) -> list[tuple[str, bytes]]:
        """The small files in the order of writing: README last, so that it never names what is not there."""
        return sorted(self.files.items(), key=lambda file: (file[0] == README, file[0]))


@dataclass(frozen=True)
class There:
    """What lies in a target when a release is made for it.

    Args:
        paths: of its files; a folder may stand for its files and ends with a slash then.
        alone: nobody else is at work there, so that what nothing shows is left over, whatever its name. Otherwise only
            names of this run are.
        at_once: what goes does so in the same moment in which README comes; otherwise after it.
        license_file: where the list of licenses goes; `LICENSE.md` may be somebody else's.
    """

    paths: Collection[str]
    alone: bool
    at_once: bool
    license_file: str = LICENSE


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
        built: the builds of this run, where they lie in the target.
        run: name of this run; what it has made is complete.
        removed: names of builds that are to vanish.
        captions: caption by file name, for the files in `organized/`.
        location: what `load_dataset` takes.
        words: what is said of the dataset on its card.
        gated: whether readers have to accept the terms first.
        public: whether everyone will see the dataset.
        terms_accepted: whether the publisher acknowledged SA-1B's terms.
        sheets: sheets of records that this run has drawn, by path.
    """

    built: Sequence[Built]
    run: str
    removed: frozenset[str]
    captions: Mapping[str, str]
    location: str
    words: Words
    gated: bool = False
    public: bool = False
    terms_accepted: bool = False
    sheets: Mapping[str, bytes] = field(default_factory=dict)

    def make(self, current: Visible, there: There, readme: str | None = None) -> Release:
        """The current builds, without the removed ones, with those of this run in place of the same names' old ones.

        Args:
            current: what is visible now.
            there: what lies in the target.
            readme: the README that is there; what of it is its owner's stays.

        Raises:
            RightsError: the dataset is public, and somebody else has meanwhile added what may not be.
        """
        builds = {build.name: build for build in current.builds if build.name not in self.removed}
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
        names = self.removed | {one.build.name for one in self.built}
        closed = (current.closed | {self.run}) & {build.run for build in ordered}
        index, content = encode_index(ordered, closed)
        assets = make_assets(ordered, self.sheets, there.paths)
        files = {there.license_file: render_license(holdings).encode(), index: content, **assets.files}
        files.update(self._manifests(current))
        for one in (one for one in self.built if one.build.kind == "train"):
            files.update(organized_files(one, self.captions))
        before = {build.path for build in current.builds}
        lying = build_folders(there.paths)
        shown = {build.path for build in ordered}
        folders = [
            folder
            for folder, name in lying.items()
            if folder not in shown and (there.alone or folder in before or name in names)
        ]
        kept = files.keys() | assets.paths
        removed = [
            path
            for path in there.paths
            if path not in kept
            and (organized_archive(path) in names or is_index(path) or is_asset(path) or path == LICENSES)
        ]

        def card(present: Iterable[str]) -> bytes:
            text = render_card(
                ordered,
                Showing(frozenset(present), closed, index, there.license_file, assets),
                location=self.location,
                words=self.words,
                gated=self.gated,
                existing=readme,
            )
            return text.encode("utf-8", "surrogateescape")

        settled = card((lying.keys() | shown) - set(folders))
        files[README] = settled if there.at_once or not folders else card(lying.keys() | shown)
        return Release(ordered, closed, files, frozenset(names), folders, sorted(removed), settled)

    def _manifests(self, current: Visible) -> dict[str, bytes]:
        """What `build.json` says of builds that are not shown so now: license and statistics change without a part."""
        before = {build.path: build for build in current.builds}
        changed = [one.build for one in self.built if before.get(one.build.path) != one.build]
        return {f"{build.path}/{BUILD_FILE}": encode_build(build) for build in changed}


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
