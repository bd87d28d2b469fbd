"""The verification: README, manifests and files; with `deep`, every record as well."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import yaml

from asam_datasets.builds import BUILD_FILE, Build, Part, decode_build, encode_build, parts_digest, same_content
from asam_datasets.errors import AsamDatasetsError, TargetError
from asam_datasets.machine import AnyPath, text_of
from asam_datasets.progress import Listener
from asam_datasets.published._answers import FileInfo
from asam_datasets.published._layout import (
    PLACEHOLDER,
    README,
    NoDatasetError,
    build_folders,
    front_matter,
    load_yaml,
    read_front,
)
from asam_datasets.published._location import Published, open_published
from asam_datasets.published._part import PartFile
from asam_datasets.published._report import Finding, Report
from asam_datasets.published._verify_records import PartCheck, check_part
from asam_datasets.published._visible import visible_builds
from asam_datasets.tables import configs_of
from asam_datasets.workers import open_workers

_LARGEST_PART = 200 * 10**9  # bytes: what the Hub takes


def verify(
    dataset: AnyPath,
    *,
    revision: str | None = None,
    deep: bool = False,
    workers: int | None = 1,
    listener: Listener | None = None,
) -> Report:
    """Verify a published dataset: each part's size and sha256 against its manifest, the manifests against README.

    Args:
        dataset: a folder, or a repository id `namespace/name` on the Hub.
        revision: branch, tag, commit or `refs/pr/N` on the Hub.
        deep: also read every record: images decode, masks equal their annotations (pixels, area, inclusive box,
            size), the conditioning image is the painting of the masks, rows and columns are those of the manifest.
        workers: processes that look at records; None for one for each core.
        listener: who follows the run.

    Raises:
        TargetError: there is no dataset of asam_datasets.
        HubError: the Hub refused, or was not reached.
    """
    listener, started = listener or Listener(), time.monotonic()
    published = open_published(text_of(dataset), revision, listener.on_stage)
    visible = visible_builds(published)
    if visible is None:
        raise TargetError(
            "expected a dataset made by asam_datasets, found no README.md",
            where=published.url,
            hint="Check the name; publish it first.",
        )
    builds, files = visible.builds, published.files()
    findings = [
        *_check_card(published, builds),
        *_check_files(published, builds, files),
        *_check_patterns(published, builds, files),
    ]
    broken = {finding.where for finding in findings}
    records = masks = 0
    if deep:
        tasks = [
            PartCheck(build, part, PartFile.from_manifest(published.location, build, part, f"{build.path}/{part.file}"))
            for build in builds
            for part in build.parts
            if f"{build.path}/{part.file}" not in broken
        ]
        listener.on_total(sum(task.manifest.rows for task in tasks))
        with open_workers(workers, listener.on_records) as pool:
            names: dict[str, Counter[str]] = {}
            for position, result in sorted(pool.run(check_part, tasks)):
                records += result.records
                masks += result.masks
                findings += result.findings
                names.setdefault(tasks[position].build.path, Counter()).update(result.names)
        findings += _repeated(names)
    return Report(
        published.url,
        revision,
        deep,
        len(builds),
        sum(len(build.parts) for build in builds),
        sum(build.rows for build in builds),
        sum(build.size_bytes for build in builds),
        records,
        masks,
        findings,
        _leftovers(builds, files),
        time.monotonic() - started,
    )


def _check_card(published: Published, builds: Sequence[Build]) -> Iterator[Finding]:
    """The numbers that the card's YAML gives to readers."""
    front = front_matter((published.read(README) or b"").decode("utf-8", "replace"))
    rows = {
        (config.name, split): sum(build.in_split(split).rows for build in shown)
        for config in configs_of(builds)
        for split, shown in config.splits.items()
    }
    told: list[tuple[str, str, object]] = []
    try:
        for info in front.get("dataset_info", ()):
            told += [(str(info["config_name"]), str(one["name"]), one["num_examples"]) for one in info["splits"]]
    except (TypeError, KeyError):
        yield Finding(f"{README}: dataset_info", "expected splits and their rows for each config, found something else")
    for config, split, found in told:
        expected = rows.get((config, split), 0)
        if found != expected:
            problem = f"expected {expected} rows, as the manifests say, found {found}"
            yield Finding(f"{README}: dataset_info of {config}", problem)
    placeholder = published.read(PLACEHOLDER)
    if placeholder is None:
        return
    try:
        overrules = "configs" in (load_yaml(placeholder.decode("utf-8", "replace")) or {})
    except (yaml.YAMLError, TypeError):
        overrules = True  # a reader stumbles over it
    if overrules:
        yield Finding(PLACEHOLDER, "expected only README.md to say what is visible, found this file overruling it")


def _repeated(names: Mapping[str, Counter[str]]) -> Iterator[Finding]:
    """Images that are in a build more than once."""
    for path, counted in names.items():
        twice = [name for name, count in counted.items() if count > 1]
        if twice:
            problem = f"expected each image once, found {len(twice)} again, such as {twice[0]}"
            yield Finding(path, problem)


def _check_files(published: Published, builds: Sequence[Build], files: Mapping[str, FileInfo]) -> Iterator[Finding]:
    for build in builds:
        digest = parts_digest(build.parts)
        if digest != build.digest:
            yield Finding(build.path, f"expected the digest {digest} of its parts, found {build.digest}")
        manifest = f"{build.path}/{BUILD_FILE}"
        if manifest not in files:
            yield Finding(manifest, "expected the record of the build, found no such file")
        elif not files[manifest].holds(encode_build(build)):
            try:
                content = published.read(manifest) or b""
            except NoDatasetError as error:
                yield Finding(manifest, error.problem)
            else:
                yield from _check_manifest(build, content, manifest)
        for part in build.parts:
            path = f"{build.path}/{part.file}"
            if problem := _part_problem(published, path, part, files.get(path)):
                yield Finding(path, problem)


def _part_problem(published: Published, path: str, part: Part, entry: FileInfo | None) -> str:
    """What is wrong with the file of a part as a whole; empty if nothing is."""
    if entry is None:
        return "expected the part, found no such file"
    if part.size_bytes > _LARGEST_PART:  # to read a sparse file of 4 TiB takes an hour
        return f"expected at most {_LARGEST_PART} bytes, found {part.size_bytes}"
    if entry.size != part.size_bytes:
        return f"expected {part.size_bytes} bytes, found {entry.size}"
    try:
        sha256 = published.sha256(path)
    except OSError as error:
        if isinstance(error, AsamDatasetsError):  # the Hub's say nothing about the file
            raise
        return f"expected a file that can be read, found: {error.strerror}"
    return "" if sha256 == part.sha256 else f"expected sha256 {part.sha256}, found {sha256}"


def _check_manifest(build: Build, content: bytes, path: str) -> Iterator[Finding]:
    """A record that is not written as we write it now: of an earlier release, or in a folder, of which no digests are
    known."""
    try:
        found = decode_build(content, path)
    except TargetError as error:
        yield Finding(path, error.problem)
        return
    if not same_content(found, build) or found.parts != build.parts:
        yield Finding(path, "expected what the index says of the build, found something else")


def _check_patterns(published: Published, builds: Sequence[Build], files: Mapping[str, FileInfo]) -> Iterator[Finding]:
    """What stock readers see is what we see: a pattern for a run shows all that it has made."""
    visible = {build.path for build in builds}
    front = read_front((published.read(README) or b"").decode("utf-8", "replace"), published.url)
    for folder in build_folders(files):
        if folder not in visible and front.shows(folder):
            yield Finding(folder, f"expected only what the index has, found that {README} shows this as well")


def _leftovers(builds: Sequence[Build], files: Mapping[str, FileInfo]) -> list[str]:
    unknown = sorted(build_folders(files).keys() - {build.path for build in builds})
    return [f"{folder} is named by nothing: an unfinished publish left it, or is at work" for folder in unknown]
