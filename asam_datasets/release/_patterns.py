"""The patterns by which a README shows builds: the fewest that match exactly these, among all that lies there.

Each pattern costs a stock reader a request for each folder that it has not listed yet; a thousand explicit ones were a
thousand requests, which is all that the Hub allows in five minutes. So what lies below the folder of one run is one
pattern, where all of it is visible. Where there are several patterns, a first one that matches nothing makes the reader
list the whole tree once; the others are answered out of that listing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from asam_datasets.builds import DATA, Build
from asam_datasets.published import NOTHING, Pattern


def patterns(visible: Iterable[Build], present: Iterable[str], closed: Collection[str]) -> list[str]:
    """The patterns for some builds of one table.

    Args:
        visible: the builds that shall match.
        present: the folders of all builds that lie in the dataset while these patterns are there, such as
            `data/train/r0/sa_000000-0123456789abcdef`.
        closed: names of the runs below whose folders nobody adds anything any more. What lies below another may be a
            publisher's who is at work: one pattern would show it half.
    """
    builds = sorted(visible, key=lambda build: (build.name, build.path))
    shown = {build.path for build in builds}
    hidden = {_folder(path) for path in present if path not in shown}
    made: dict[str, None] = {}
    for build in builds:
        folder = _folder(build.path)
        is_whole = build.run in closed and folder not in hidden
        made[str(Pattern(folder, True) if is_whole else Pattern(build.path, False))] = None
    if len(made) > 1:
        kind = builds[0].kind
        return [f"{DATA}/{kind}/**/{NOTHING}", *made]
    return list(made)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
