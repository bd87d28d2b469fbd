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

from asam_datasets.builds import DATA, PART, VALIDATION, Build
from asam_datasets.published import NOTHING, Pattern, place_of


def patterns(visible: Collection[Build], split: str, present: Iterable[str], closed: Collection[str]) -> list[str]:
    """The patterns for one split of some builds of one table.

    Args:
        visible: the builds that shall match; of archives those that have the split.
        split: its name.
        present: the folders of all builds that lie in the dataset while these patterns are there, such as
            `data/train/sa_000000-0123456789abcdef-r0123456789ab`.
        closed: names of the runs that nobody adds anything to any more. What is of another may be a publisher's who is
            at work: one pattern would show it half.
    """
    shown = {build.path for build in visible}
    hidden = {place_of(path) for path in present if path not in shown}
    of_split = (one for one in visible if one.kind != "train" or split in one.splits)
    builds = sorted(of_split, key=lambda build: (build.name, build.path))
    count = Counter(build.run for build in builds)
    made: dict[str, None] = {}
    for build in builds:
        word = VALIDATION if build.kind == "train" and split == VALIDATION else PART
        # The name of a single one is longer, but no reader goes through its whole listing for it.
        is_whole = build.run in closed and (build.kind, build.run) not in hidden
        if build.run is not UNSET and is_whole and count[build.run] > 1:
            pattern = Pattern.of_run(build.kind, build.run, word)
        else:
            pattern = Pattern.of_build(build, word)
        made[str(pattern)] = None
    if len(made) > 1:
        return [f"{DATA}/{builds[0].kind}/**/{NOTHING}", *made]
    return list(made)
