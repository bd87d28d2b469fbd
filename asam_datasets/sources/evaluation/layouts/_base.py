"""What every layout is: how a family of evaluation sets lies on disk, what its files mean, and how they are read.

A catalog entry fills one of them in. All paths are patterns (`_patterns.py`) below the folder that the user names. What
a value means is the same in every layout:

- `threshold`: the smallest grey value that is foreground, 1 to 255;
- `background`, `ignored`: values (or colors) that never become a mask;
- `crowds`: whether regions that stand for a group of objects are masks (`keep`, marked `iscrowd`) or not (`drop`);
- `packagings`: other ways in which the same files are packed: the first way that fits the folder is taken, and only it;
- `without_objects`: whether images without any object are rows (`keep`) or not (`drop`);
- `lone_images`, `lone_masks`: whether an image without its mask file, or the reverse, is a bad record (`reject`)
  or belongs to the set as it is released (`drop`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._patterns import Budget
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder

if TYPE_CHECKING:
    from typing_extensions import Self

Policy = Literal["reject", "drop"]
Crowds = Literal["drop", "keep"]
Raster = Literal["opencv", "pycocotools"]
Threshold = Annotated[int, Meta(ge=1, le=255)]


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what a catalog's TOML holds: a field that nobody knows is an error."""


class BaseLayout(Described, frozen=True, kw_only=True, tag_field="type"):
    """The contract. `PairedLayout` and `JSONLayout` keep most of it for their families; each layout has a module.

    A layout holds no state and no file open, so it can be pickled and shared.
    """

    without_objects: Crowds = "drop"

    labels: ClassVar[tuple[str, str]]
    """What the two kinds of files in `places` are, for people."""

    later: ClassVar[frozenset[str]] = frozenset({"packagings", "without_objects"})
    """Fields that were added when sets were published already: at their default they are no part of `form`."""

    def form(self) -> bytes:
        """The layout as it goes into digests: all that it says of the masks."""
        said = msgspec.to_builtins(self)
        for field in msgspec.structs.fields(self):
            if field.name in self.later and getattr(self, field.name) == field.default:
                del said[field.encode_name]
        return msgspec.json.encode(said)

    def as_asam(self) -> Self:
        """The layout as ASAM's loaders read the same files: what `protocol="asam"` reads where an entry has no other
        reading, or in that one."""
        return self

    def ways(self) -> list[Self]:
        """The layout for each way in which the files may be packed, its own first."""
        raise NotImplementedError

    def fits(self, root: Path, budget: Budget | None = None) -> bool:
        """Whether an image lies in a folder together with what its masks come from.

        Args:
            budget: ends the search when it is used up.
        """
        raise NotImplementedError

    def require(self) -> None:
        """Load what the layout reads with that is not installed with the package; `index` begins with it.

        Raises:
            SourceError: it is not installed.
        """

    def more(self) -> dict[str, str]:
        """Patterns of files that say more of the masks where they are there, and what they say, for people."""
        return {}

    def why_nothing(self, root: Path) -> str:
        """What was found of the files that belong together, for people; empty where there is none of them."""
        raise NotImplementedError

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
