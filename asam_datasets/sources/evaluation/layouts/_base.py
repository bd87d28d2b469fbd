"""What every layout is: how a family of evaluation sets lies on disk, what its files mean, and how they are read.

A catalog entry fills one of them in. All paths are patterns (`_patterns.py`) below the folder that the user names. What
a value means is the same in every layout:

- `threshold`: the smallest grey value that is foreground, 1 to 255;
- `background`, `ignored`: values (or colors) that never become a mask;
- `crowds`: whether regions that stand for a group of objects are masks (`keep`, marked `iscrowd`) or not (`drop`);
- `lone_images`, `lone_masks`: whether an image without its mask file, or the reverse, is a bad record (`reject`)
  or belongs to the set as it is released (`drop`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder

Policy = Literal["reject", "drop"]
Crowds = Literal["drop", "keep"]
Threshold = Annotated[int, Meta(ge=1, le=255)]


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what a catalog's TOML holds: a field that nobody knows is an error."""


class BaseLayout(Described, frozen=True, kw_only=True, tag_field="type"):
    """The contract. `PairedLayout` and `JSONLayout` keep most of it for their families; each layout has a module.

    A layout holds no state and no file open, so it can be pickled and shared.
    """

    labels: ClassVar[tuple[str, str]]
    """What the two kinds of files in `places` are, for people."""

    def index(self, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """Find the images, in any order; images that turn out to have no mask are among them.

        Raises:
            RecordError: under the policy `raise`: something is wrong with one image.
            SourceError: a file that many images share is missing or cannot be used.
        """
        raise NotImplementedError

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """What decides the masks of an image, in the order of the masks. Each file is read once, when it is its turn.

        Raises:
            RecordError: a file is gone, cannot be read, or no longer has the image.
            SourceError: an annotation file changed and cannot be used any more.
        """
        raise NotImplementedError

    def places(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        """Patterns of what is looked for first, and of what belongs to each, in all the places where it may be."""
        raise NotImplementedError

    def lists(self) -> set[str]:
        """Files that name the images of the split."""
        return set()
