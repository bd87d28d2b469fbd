"""Maps in which each color is an object or class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asam_datasets.masks import from_label_map
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import read_colors
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import evidence_of_files, index_pairs
from asam_datasets.sources.evaluation.layouts._structs import Color, RGBMap


class RGBMapAdapter:
    """Each color is one mask; its id is red + 256 × green + 65536 × blue."""

    def index(self, layout: RGBMap, folder: Folder, bad: BadRecords) -> Iterable[EvaluationRef]:
        """Join images and maps."""
        return index_pairs(layout, folder, bad)

    def objects(self, layout: RGBMap, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in ascending order of their ids."""
        colors = read_colors(folder, ref.masks[0], shape)
        leave_out = [_folded(color) for color in (*layout.background, *layout.ignored)]
        for value, mask in from_label_map(colors, leave_out=leave_out).items():
            red, green = value & 255, value >> 8 & 255
            category = red // 10 * 256 + green if layout.category_code == "ade20k" else None
            yield Object(mask, value, category)

    def evidence(self, layout: RGBMap, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The map."""
        return evidence_of_files(folder, ref)


def _folded(color: Color) -> int:
    red, green, blue = color
    return red + (green << 8) + (blue << 16)
