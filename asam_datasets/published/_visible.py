"""Which builds a dataset shows: those that match the patterns of its README, as for every reader."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asam_datasets.builds import BUILD_FILE, Build, decode_build, in_run
from asam_datasets.errors import TargetError
from asam_datasets.published._index import decode_index
from asam_datasets.published._layout import README, Front, NoDatasetError, build_folders, place_of, read_front
from asam_datasets.published._location import Published

_BY_HAND = "The dataset was changed by hand; publish to a new place."

_FEW = 8
"""Up to so many manifests are read one after the other."""

_AT_ONCE = 16
"""So many are read at a time otherwise."""


@dataclass(frozen=True)
class Visible:
    """What a dataset shows: its builds, and the runs that nobody adds anything to any more."""

    builds: tuple[Build, ...] = ()
    closed: frozenset[str] = frozenset()


def visible_builds(published: Published) -> Visible | None:
    """What the README shows; None when there is no README. With an index it is one file more that is read; datasets
    of an earlier release have none, and every manifest is read.

    Raises:
        ForeignReadmeError: the README is somebody else's.
        NoDatasetError: it names what is not there, or not a build of ours.
    """
    readme = published.read(README)
    if readme is None:
        return None
    front = read_front(readme.decode("utf-8", "replace"), f"{published.url}/{README}")
    visible = _from_manifests(published, front) if front.index is None else _from_index(published, front, front.index)
    _check_names(published, visible.builds)
    return visible


def _from_index(published: Published, front: Front, path: str) -> Visible:
    content = published.read(path)
    if content is None:
        raise _missing(published, path)
    try:
        index = decode_index(path, content, f"{published.url}/{path}")
    except TargetError as error:
        found = f"an index that is none ({error.problem})"
        raise NoDatasetError(error.problem, where=error.where, hint=error.marked_hint, found=found) from None
    gone = sorted(front.folders.keys() - {build.path for build in index.builds})
    if gone:
        raise _missing(published, f"{gone[0]} in its index")
    return Visible(tuple(build for build in index.builds if front.shows(build.path)), frozenset(index.closed))


def _from_manifests(published: Published, front: Front) -> Visible:
    folders = [*front.folders]
    if front.runs:
        folders += [folder for folder in build_folders(published.files()) if front.shows(folder)]
    paths = [f"{folder}/{BUILD_FILE}" for folder in dict.fromkeys(folders)]
    with ThreadPoolExecutor(1 if len(paths) <= _FEW else _AT_ONCE) as pool:
        contents = list(pool.map(published.read, paths))
    return Visible(tuple(_decode(published, path, content) for path, content in zip(paths, contents, strict=True)))


def _decode(published: Published, path: str, content: bytes | None) -> Build:
    where = f"{published.url}/{path}"
    if content is None:
        raise _missing(published, path)
    try:
        build = decode_build(content, where)
        build = in_run(build, place_of(path.rpartition("/")[0])[1])
        if f"{build.path}/{BUILD_FILE}" != path:
            raise TargetError(
                f"expected the build of {path.removesuffix(f'/{BUILD_FILE}')}, found that of {build.path!r}",
                where=where,
                hint=_BY_HAND,
            )
    except TargetError as error:
        found = f"a {BUILD_FILE} that is none ({error.problem})"
        raise NoDatasetError(error.problem, where=error.where, hint=error.marked_hint, found=found) from None
    return build


def _check_names(published: Published, builds: Sequence[Build]) -> None:
    """Names become names of files and configs: each once, however it is written."""
    seen = set()
    for build in builds:
        key = (build.kind, build.name.casefold())
        if key in seen:
            problem = f"expected each name once, found {build.name!r} twice"
            where = f"{published.url}/{build.path}/{BUILD_FILE}"
            raise NoDatasetError(problem, where=where, hint=_BY_HAND, found=f"a {BUILD_FILE} that is none ({problem})")
        seen.add(key)


def _missing(published: Published, what: str) -> NoDatasetError:
    return NoDatasetError(
        f"expected {what}, which {README} names, found none",
        where=published.url,
        hint=_BY_HAND,
        found=f"no {what}, which {README} names",
    )
