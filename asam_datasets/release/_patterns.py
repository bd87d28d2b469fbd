"""The patterns by which a README shows builds: the fewest that match exactly these, among all that lies there.

Each pattern costs a stock reader a request for each folder that it has not listed yet; a thousand explicit ones were a
thousand requests, which is all that the Hub allows in five minutes. So what one run has made is one pattern, where all
of it is visible. Where there are several, a first one that matches nothing makes the reader list the whole tree once;
the others are answered out of that listing.

The folders of all runs lie beside each other, a run at the end of each name. With a folder for each run
`huggingface_hub` 2.4 lists folder by folder: a request for each run, where those of one archive are many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from msgspec import UNSET

from asam_datasets.builds import DATA, Build, split_folder
from asam_datasets.published import NOTHING, Pattern


def patterns(visible: Iterable[Build], present: Iterable[str], closed: Collection[str]) -> list[str]:
    """The patterns for some builds of one table.

    Args:
        visible: the builds that shall match.
        present: the folders of all builds that lie in the dataset while these patterns are there, such as
            `data/train/sa_000000-0123456789abcdef-r0123456789ab`.
        closed: names of the runs that nobody adds anything to any more. What is of another may be a publisher's who is
            at work: one pattern would show it half.
    """
    builds = sorted(visible, key=lambda build: (build.name, build.path))
    shown = {build.path for build in builds}
    hidden = {split.run for path in present if path not in shown and (split := split_folder(path.rpartition("/")[2]))}
    count = Counter(build.run for build in builds)
    made: dict[str, None] = {}
    for build in builds:
        # The name of a single one is longer, but no reader goes through its whole listing for it.
        if build.run is not UNSET and count[build.run] > 1 and build.run in closed and build.run not in hidden:
            pattern = Pattern.of_run(build.kind, build.run)
        else:
            pattern = Pattern.of_build(build)
        made[str(pattern)] = None
    if len(made) > 1:
        kind = builds[0].kind
        return [f"{DATA}/{kind}/**/{NOTHING}", *made]
    return list(made)
