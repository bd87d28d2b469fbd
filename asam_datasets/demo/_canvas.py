"""An image and the masks of what can be seen in it, both drawn from the same distances to outlines."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from rlemasklib import RLEMask

Field = npt.NDArray[np.floating[Any]]
Window = tuple[slice, slice]
Shape = tuple[Window, Field]  # a box of the image, and in it the distance to an outline: pixels, inside < 0
Color = Sequence[float]


class Canvas:
    """The image and the masks of what can be seen in it, both drawn from the same distances to outlines."""

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.height, self.width, self.rng = height, width, rng
        self.unit = min(height, width) / 100
        self.everything = slice(0, height), slice(0, width)
        self.pixels: Field = np.zeros((height, width, 3), np.float32)
        dots = [max(2.5, 0.36 * self.unit) * scale for scale in (1, 3, 9)]
        self.texture = 0.35 * np.sum([self.noise(dot, dot) for dot in dots], axis=0)
        self.windows: list[Window] = []
        self.masks: list[RLEMask] = []
        self.wholes: list[frozenset[int]] = []

    def noise(self, cell_y: float, cell_x: float) -> Field:
        """Smooth noise over the image, (height, width), about -1 to 1, one bump in each cell of pixels."""
        shape = int(self.height / cell_y) + 2, int(self.width / cell_x) + 2
        grid = Image.fromarray(self.rng.random(shape, np.float32) * 2 - 1)
        return np.asarray(grid.resize((self.width, self.height), Image.Resampling.BICUBIC), np.float32)

    def pick(self, names: str, count: int) -> list[str]:
        return [str(name) for name in self.rng.permutation(names.split())[:count]]

    def window(self, left: float, top: float, right: float, bottom: float) -> Window:
        """The part of the box that lies in the image, with room for soft edges."""
        rows = slice(max(0, int(top) - 2), min(self.height, int(bottom) + 3))
        return rows, slice(max(0, int(left) - 2), min(self.width, int(right) + 3))

    def axes(self, window: Window, x: float = 0, y: float = 0, degrees: float = 0) -> tuple[Field, Field]:
        """How far right of and below (x, y), along axes turned by an angle; if by none, (1, w), (h, 1)."""
        rows, columns = (axis.astype(np.float32) for axis in np.ogrid[window])
        if not degrees:
            return columns - x, rows - y
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return (columns - x) * cos + (rows - y) * sin, (rows - y) * cos - (columns - x) * sin

    def disc(self, x: float, y: float, rx: float, ry: float, degrees: float = 0, spare: float = 1) -> Shape:
        """An ellipse, in a box that is `spare` times as large as it needs."""
        reach = max(rx, ry) * spare
        window = self.window(x - reach, y - reach, x + reach, y + reach)
        across, down = self.axes(window, x, y, degrees)
        return window, (np.sqrt((across / rx) ** 2 + (down / ry) ** 2) - 1) * min(rx, ry)

    def box(self, left: float, top: float, right: float, bottom: float) -> Shape:
        window = self.window(left, top, right, bottom)
        across, down = self.axes(window, (left + right) / 2, (top + bottom) / 2)
        return window, np.maximum(np.abs(across) - (right - left) / 2, np.abs(down) - (bottom - top) / 2)

    def ball(self, window: Window, x: float, y: float, rx: float, ry: float) -> Field:
        """Brightness of a ball that is lit from the upper left, (height, width)."""
        u, v = self.axes(window, x, y)
        u, v = u / rx, v / ry
        lit: Field = np.clip(0.65 * np.sqrt(np.maximum(0, 1 - u * u - v * v)) - 0.5 * u - 0.55 * v, 0, 1)
        return 0.42 + 0.66 * lit + 0.5 * (((lit**2) ** 2) ** 2) ** 2

    def fill(self, top: Color, bottom: Color) -> None:
        """A background, not an object."""
        down = np.linspace(0, 1, self.height, dtype=np.float32)[:, None, None]
        gradient = np.asarray(top, np.float32) * (1 - down) + np.asarray(bottom, np.float32) * down
        self.pixels = gradient * (1 + 0.06 * self.texture)[..., None]

    def paint(
        self, window: Window, distance: Field, color: Color, shade: Field | float = 1.0, *,
        grain: float = 0.12, opacity: float = 1.0, soft: float = 1.0, part_of: int | None = None,
    ) -> int:  # fmt: skip
        """Draw an object, a part cut to its whole; if opaque, hide all but its wholes. Returns its number."""
        rows, columns = window
        inside, alpha = distance < 0, opacity * np.clip(0.5 - distance / soft, 0, 1)
        if part_of is not None:
            crop = columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
            whole = self.masks[part_of].crop(crop).to_array(order="C") > 0
            inside, alpha = inside & whole, alpha * whole
        light, target = shade * (1 + grain * self.texture[window]), self.pixels[window]
        for channel, value in enumerate(color):
            target[..., channel] += alpha * (light * float(value) - target[..., channel])
        below, right = self.height - rows.stop, self.width - columns.stop
        new = RLEMask.from_array(inside).pad(rows.start, below, columns.start, right)
        wholes = frozenset() if part_of is None else self.wholes[part_of] | {part_of}
        for number, old in enumerate(self.windows):
            near = all(a.start < b.stop and b.start < a.stop for a, b in zip(old, window, strict=True))
            if near and opacity == 1 and number not in wholes:
                self.masks[number] = self.masks[number] - new
        self.windows.append(window)
        self.masks.append(new)
        self.wholes.append(wholes)
        return len(self.masks) - 1

    def jpeg(self) -> bytes:
        """The image as a camera would give it: a little blurred, a little noisy, quality 90."""
        sharp = Image.fromarray(np.clip(self.pixels + 0.5, 0, 255).astype(np.uint8))
        smooth = np.asarray(sharp.filter(ImageFilter.GaussianBlur(0.6)), np.int16)
        speckle = self.rng.integers(-2, 3, (self.height, self.width, 1), np.int16)
        file = io.BytesIO()
        Image.fromarray(np.clip(smooth + speckle, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        return file.getvalue()
