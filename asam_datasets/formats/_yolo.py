"""YOLO: `images/`, `labels/` with one closed line for each object, and `data.yaml`, as ultralytics reads them.

A line of `labels/*.txt` is the class and x, y of each point, as parts of width and height. Points are the centers of
pixels: ultralytics multiplies, cuts off the fraction and fills the line together with its pixels (`cv2.fillPoly`),
which gives the mask again. Before that it makes 1,000 points of each line, or as many as the longest of an image has
(since 8.3.50, of December 2024; versions before it keep neither these points nor those), so lines are not endless.

One line has no room for holes, or for parts that do not touch: they are joined by cuts (see `_outline.py`). What that
loses is measured for each mask, and told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from asam_datasets.formats._bridges import Points
from asam_datasets.formats._form import Space, Tally, Whole
from asam_datasets.formats._outline import outline
from asam_datasets.formats._reading import Item, Object
from asam_datasets.formats._result import FolderWritten

MOST_POINTS = 4000
"""To which an outline is simplified: ultralytics makes as many of each object in the image."""

_LEAST_POINTS = 3
_QUARTER = np.array(((-0.25, -0.25), (0.25, -0.25), (0.25, 0.25), (-0.25, 0.25)))
_GOOD = 0.99


@dataclass(frozen=True)
class YoloForm:
    """See this module."""

    FOLDERS: ClassVar[Sequence[str]] = ("images", "labels")
    SHARED: ClassVar[Sequence[str]] = ("data.yaml",)

    def writer(self, space: Space) -> YoloWriter:
        """What writes one part."""
        return YoloWriter(space)

    def finish(self, whole: Whole) -> None:
        """Nothing waits."""

    def shared(self, folders: Sequence[FolderWritten], classes: Sequence[str]) -> Mapping[str, bytes]:
        """`data.yaml`, whose paths are relative to itself. ultralytics wants both `train` and `val`, so one stands in
        for the other where it is missing."""
        found: dict[str, list[str]] = {}
        for one in folders:
            split = {"train": "train", "validation": "val"}.get(one.split, "test")
            found.setdefault(split, []).append(f"{one.name}/images")
        some = found.get("val") or found.get("test") or found["train"]
        splits = {"train": found.get("train") or some, "val": some}
        splits |= {"test": found["test"]} if "test" in found else {}
        return {"data.yaml": yaml.safe_dump({**splits, "names": dict(enumerate(classes))}, sort_keys=False).encode()}

    def notes(self, folders: Sequence[FolderWritten]) -> list[str]:
        """Which splits stand in for others."""
        splits = {one.split for one in folders}
        told = []
        if "train" not in splits:
            told.append("data.yaml: there is no train set, and `train` names the evaluation sets")
        if "validation" not in splits:
            instead = "test sets" if "test" in splits else "train set"
            told.append(f"data.yaml: there is no validation set, and `val` names the {instead}")
        return told


class YoloWriter:
    """Writes one part."""

    def __init__(self, space: Space) -> None:
        self.tally = Tally()
        self._space = space

    def add(self, item: Item) -> None:
        """Write the image and its lines."""
        lines = [line for one in item.objects if (line := self._line(item, one))]
        stem = item.name.rpartition(".")[0] or item.name
        Path(self._space.folder, "labels", f"{stem}.txt").write_text("".join(lines), encoding="ascii")
        Path(self._space.folder, "images", item.name).write_bytes(item.content)
        self.tally.masks += len(lines)

    def close(self) -> None:
        """Each file is whole already."""

    def _line(self, item: Item, one: Object) -> str:
        """One object; nothing for what the form has no room for."""
        if one.iscrowd:
            self.tally.left_out["crowds"] += 1
            return ""
        found = outline(one.mask, most_points=MOST_POINTS - 1)
        if found is None:
            self.tally.left_out["masks without a pixel"] += 1
            return ""
        if _overlap(found.points, one) < _GOOD:
            self.tally.lost[f"masks whose outline fills to an IoU below {_GOOD}"] += 1
        if found.parts > 1:
            self.tally.lost["masks of several parts, joined by lines of one pixel"] += 1
        if found.simplified:
            self.tally.lost[f"masks whose outline was simplified to {MOST_POINTS:,} points"] += 1
        points = (_odd(_widened(found.points)) + 0.5) / (item.width, item.height)
        return " ".join([str(self._space.classes[one.kind][0]), *(f"{number:.7g}" for number in points.ravel())]) + "\n"


def _widened(points: Points) -> NDArray[np.float64]:
    """Points that enclose something, within the same pixels: a line of no width, or of fewer points than a polygon has,
    would have no box."""
    flat = np.ptp(points, axis=0) == 0
    if not flat.any() and len(points) >= _LEAST_POINTS:
        return points.astype(np.float64)
    if flat.all():
        corners: NDArray[np.float64] = points[:1] + _QUARTER
        return corners
    aside = np.where(flat, 0.25, 0.0)
    return np.concatenate([points - aside, points[::-1] + aside])


def _odd(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same line of an odd number of points: into an even one ultralytics, which makes 1,000 of each by points in
    between, may put one in the middle of a diagonal step, where two pixels are as near, and paint the wrong one."""
    return points if len(points) % 2 else np.concatenate([points, points[-1:]])


def _overlap(points: Points, one: Object) -> float:
    """The IoU of a mask and its filled line."""
    x, y, width, height = (int(side) for side in one.box_xywh)
    image = Image.new("L", (width, height))
    corners = [(px - x, py - y) for px, py in points.tolist()]
    if len(corners) > 1:
        ImageDraw.Draw(image).polygon(corners, fill=1, outline=1)
    else:
        image.putpixel(corners[0], 1)
    filled = np.asarray(image) != 0
    mask = one.mask.crop((x, y, width, height)).to_array(order="C") != 0
    return float((filled & mask).sum() / (filled | mask).sum())
