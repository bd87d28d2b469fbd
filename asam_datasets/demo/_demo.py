"""A small archive in the form of SA-1B, drawn in code: nothing is downloaded, nothing is bundled.

It keeps the conventions of the real thing, so that a test which passes here means something there:

- members `./sa_<id>.jpg`, `./sa_<id>.json`, next to each other, with constant owner, mode and time;
- `bbox` is inclusive, `[x_min, y_min, x_max - x_min, y_max - y_min]`; `area` is the count of pixels;
- boxes, crops and points are floats, the point lies inside its mask, the crop box holds its mask;
- `id` is unique over the archive, `counts` is compressed COCO RLE.

The first five images have the hard cases: masks with holes, masks in pieces, 300 masks, none, masks of one
pixel, one that touches all borders, one that is the whole image. Same arguments and versions, same bytes.
"""

import filecmp
import io
import json
import math
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rlemasklib import RLEMask

from asam_datasets.demo._canvas import Canvas, Color
from asam_datasets.errors import TargetError
from asam_datasets.machine import AnyPath, path_of, write_errors

__all__ = ["DemoArchive", "draw_record", "write_demo"]

_MTIME_S = 1_680_086_400  # a constant: the time of writing would make each archive differ
_IDS_PER_IMAGE = 10_000  # annotation ids are then unique without a memory of earlier images
_COLORS: dict[str, Color] = {
    "red": (196, 44, 40), "orange": (228, 128, 38), "yellow": (232, 196, 62), "green": (72, 148, 70),
    "blue": (50, 96, 184), "purple": (122, 70, 156), "pink": (224, 132, 160), "white": (226, 222, 212),
    "teal": (40, 140, 142), "brown": (128, 84, 54),
}  # fmt: skip


def _balls(c: Canvas) -> str:
    """Balls with stripes, and rings with holes, on a table."""
    u, rng = c.unit, c.rng
    colors, (wall,) = c.pick("red orange yellow green purple teal", 6), c.pick("white pink blue brown", 1)
    c.fill([0.8 * v + 40 for v in _COLORS[wall]], [0.6 * v + 20 for v in _COLORS[wall]])
    table, edge = c.box(-9, 0.42 * c.height, c.width + 9, c.height + 9)
    planks = 1 + 0.12 * c.noise(3 * u, 40 * u) + 0.08 * c.noise(0.8 * u, 30 * u)
    c.paint(table, edge, (164, 112, 66), planks[table])
    count = int(rng.integers(5, 7))
    for i, column in enumerate(rng.permutation(count).tolist()):
        r, color = u * rng.uniform(9, 14), _COLORS[colors[i]]
        x, y = c.width * (column + rng.uniform(0.3, 0.7)) / count, c.height * (0.44 + 0.4 * i / count)
        flat = 0.5 if i % 3 == 1 else 1.0
        shadow = c.disc(x + 0.35 * r, y + 0.8 * r * flat, 1.15 * r, 0.4 * r, spare=1.4)
        c.paint(*shadow, (40, 24, 14), opacity=0.45, soft=0.4 * r)
        window, outline = c.disc(x, y, r, r * flat)
        if flat < 1:
            across, down = c.axes(window, x, y)
            bulge = (np.sqrt(across**2 + (down / flat) ** 2) / r - 0.75) / 0.25
            shade = 0.5 + 0.6 * np.sqrt(np.maximum(0, 1 - bulge**2)) - 0.15 * bulge * np.sign(down)
            c.paint(window, np.maximum(outline, (np.abs(bulge) - 1) * 0.12 * r), color, shade, grain=0.05)
            continue
        lit = c.ball(window, x, y, r, r)
        whole = c.paint(window, outline, color, lit, grain=0.05)
        across, down = c.axes(window, x, y, rng.uniform(-60, 60))
        stripe = np.abs(down - 0.3 * across**2 / r + 0.1 * r) - 0.16 * r
        c.paint(window, stripe, (238, 234, 226), lit, grain=0.05, part_of=whole)
    balls, rings = ([colors[i] for i in range(count) if (i % 3 == 1) is ring] for ring in (False, True))
    return f"{', '.join(balls)} balls and {', '.join(rings)} rings on a wooden table by a {wall} wall"


def _houses(c: Canvas) -> str:
    """Houses through a window, whose frame touches all borders and cuts what it hides into pieces."""
    u, rng, wide, ground = c.unit, c.rng, c.width, 0.7 * c.height
    c.fill((96, 148, 206), (206, 222, 232))
    sky, edge = c.box(-9, -9, wide + 9, 0.36 * c.height)
    drift = (c.noise(8 * u, 24 * u) + 0.4 * c.noise(2.5 * u, 5 * u))[sky]
    clouds = 5 * u * np.maximum(0.25 - drift, edge / (9 * u) + 0.4)
    c.paint(sky, clouds, (246, 246, 244), 0.9 + 0.1 * drift, soft=3)
    for i, color in enumerate([(140, 160, 178), (104, 134, 112), (92, 128, 62)]):
        line = ground - 2 * u * (2 - i) * (5 + 3 * c.noise(c.height, 22 * u)) - u * c.noise(c.height, 3 * u)
        c.paint(c.everything, line - c.axes(c.everything)[1], color, grain=0.2 + 0.2 * i)
    count = 3 if wide > c.height else 2
    colors, (wood,) = c.pick("yellow white pink teal orange", count), c.pick("white brown teal", 1)
    for i, name in enumerate(colors):
        x, base = wide * (i + 0.5 + rng.uniform(-0.08, 0.08)) / count, ground + u * rng.uniform(2, 9)
        size = 0.85 * min(wide / count, 0.6 * c.height) * rng.uniform(0.9, 1.1)
        window = c.window(x - 0.56 * size, base - 1.15 * size, x + 0.56 * size, base)
        across, down = c.axes(window, x, base)
        roof = np.maximum(0.815 * np.abs(across) - down - 1.15 * size, down + 0.7 * size)
        walls = np.maximum(np.abs(across) - 0.46 * size, np.maximum(down, -1 - down - 0.7 * size))
        bricks = 1 + 0.08 * ((down / (0.03 * size)) % 1 > 0.25) - 0.12 * (across > 0)
        whole = c.paint(window, np.minimum(roof, walls), [0.7 * v + 55 for v in _COLORS[name]], bricks)
        c.paint(window, roof, (150, 66, 48), 0.85 + 0.25 * ((down / (0.05 * size)) % 1), part_of=whole)
        door = c.box(x - 0.1 * size, base - 0.34 * size, x + 0.1 * size, base)
        c.paint(*door, _COLORS[c.pick("green blue brown red", 1)[0]], part_of=whole)
        y, w = base - 0.44 * size, 0.105 * size
        for cx in (x - 2.7 * w, x + 2.7 * w):
            opening, outline = c.box(cx - w, y - w, cx + w, y + w)
            sash = c.paint(opening, outline, (234, 230, 222), part_of=whole)
            across, down = c.axes(opening, cx, y)
            panes = np.maximum(outline + 0.16 * w, 0.1 * w - np.minimum(np.abs(across), np.abs(down)))
            c.paint(opening, panes, (92, 122, 150), 0.8 + 0.4 * (across > down), part_of=sash)
    far_x, far_y = (np.abs(axis) for axis in c.axes(c.everything, (wide - 1) / 2, (c.height - 1) / 2))
    frame = np.minimum(wide / 2 - far_x, c.height / 2 - far_y) - 4 * u
    frame = np.minimum(frame, np.minimum(far_x, far_y) - 1.4 * u)
    c.paint(c.everything, frame, [0.6 * v + 50 for v in _COLORS[wood]], 0.9 + 0.15 * c.noise(u, 9 * u))
    return f"{', '.join(colors)} houses before hills, seen through a {wood} window"


def _fish(c: Canvas) -> str:
    """Fish in water, which is the whole image; bubbles overlap what is behind; specks have one pixel."""
    u, rng, wide, tall = c.unit, c.rng, c.width, c.height
    across, down = c.axes(c.everything)
    depth = 1.25 - 0.7 * down / tall + 0.18 * c.noise(tall, 7 * u) * (1 - down / tall)
    water = c.paint(c.everything, 0 * depth - 9, (40, 122, 158), depth, grain=0.06)
    bed = 0.86 * tall + 3 * u * c.noise(tall, 20 * u) - down
    c.paint(c.everything, bed, (186, 168, 122), 0.9 + 0.15 * c.noise(u, 5 * u), grain=0.4, part_of=water)
    for _ in range(5):
        x, top = wide * rng.uniform(0.03, 0.97), tall * rng.uniform(0.43, 0.73)
        blade = np.abs(across - x - 2 * u * c.noise(6 * u, wide)) - u * (0.4 + 1.5 * (down - top) / tall)
        blade = np.maximum(blade, np.maximum(top - down, down - 0.93 * tall))
        c.paint(c.everything, blade, (46, 112, 62), grain=0.3, part_of=water)
    names = c.pick("red orange yellow purple pink green", int(rng.integers(4, 7)))
    for i, name in enumerate(names):
        x, y = wide * rng.uniform(0.14, 0.86), tall * (0.1 + 0.72 * (i + 0.5) / len(names))
        r, color, way = u * rng.uniform(8, 14), _COLORS[name], 1 if rng.random() < 0.5 else -1
        window, body = c.disc(x, y, r, 0.5 * r, spare=1.6)
        ahead, low = way * c.axes(window, x, y)[0], c.axes(window, x, y)[1]
        tail = np.maximum(np.abs(low) + 0.55 * ahead + 0.33 * r, np.abs(ahead + 1.1 * r) - 0.4 * r)
        fin = np.sqrt((ahead + 0.15 * r) ** 2 + 3 * (low + 0.42 * r) ** 2) - 0.42 * r
        outline, lit = np.minimum(np.minimum(body, tail), fin), c.ball(window, x, y, 1.7 * r, 0.9 * r)
        whole = c.paint(window, outline, [0.75 * v for v in color], lit, part_of=water)
        trunk = c.paint(window, body, color, lit, grain=0.3, part_of=whole)
        for place in (-0.4, 0.1):
            stripe = np.abs(ahead - place * r + 0.5 * low**2 / r) - 0.09 * r
            c.paint(window, stripe, (240, 236, 226), lit, part_of=trunk)
        for size, tone in ((0.13, 240), (0.07, 20)):
            c.paint(*c.disc(x + way * 0.62 * r, y - 0.12 * r, size * r, size * r), (tone,) * 3, part_of=trunk)
    for _ in range(12):
        r, x, y = u * rng.uniform(0.8, 3.4), wide * rng.random(), tall * rng.uniform(0.03, 0.8)
        window, outline = c.disc(x, y, r, r)
        rim = 0.7 + 0.4 * (outline > -max(1.5, 0.22 * r))
        c.paint(window, outline, (214, 238, 244), rim, grain=0.0, opacity=0.5, part_of=water)
    for x, y in rng.integers(0, (wide, tall), (9, 2)).tolist():
        c.paint((slice(y, y + 1), slice(x, x + 1)), np.full((1, 1), -9.0), (255, 255, 255), part_of=water)
    return f"{', '.join(names)} fish with bubbles and seaweed under water"


def _stones(c: Canvas, count: int) -> str:
    """Stones of all sizes on sand, with moss and veins; exactly `count` masks can be seen."""
    u, rng, cell = c.unit, c.rng, math.sqrt(c.height * c.width / max(count, 1))
    c.fill((200, 180, 146), (174, 152, 120))
    c.pixels *= (1 + 0.05 * c.noise(1.5 * u, 12 * u))[..., None]
    lumps, ragged, last, done = c.noise(5 * u, 5 * u), c.noise(9, 9) + c.noise(2.5, 2.5), -1, 0
    sizes = np.sort(0.42 * cell * np.exp(0.7 * rng.standard_normal(count)))[::-1].clip(2, 24 * u)
    taken = np.zeros((c.height, c.width), bool)
    while done < count or sum(mask.any() for mask in c.masks) < count:  # what was hidden is made up for
        r = float(sizes[done]) if done < count else 3.0
        for _ in range(8):  # rather where there is room
            x, y = c.width * rng.random(), c.height * rng.random()
            if not taken[c.window(x - r / 2, y - r / 2, x + r / 2, y + r / 2)].any():
                break
        window, outline = c.disc(x, y, r, r * rng.uniform(0.55, 1), rng.uniform(-90, 90), spare=2)
        outline += min(0.3 * r, 1.5 * u) * lumps[window] + min(0.2 * u, 0.1 * r) * ragged[window]
        done += 1
        if done <= count // 20:
            c.paint(window, outline - 0.2 * r + 2 * u * ragged[window], (96, 122, 60), grain=0.6)
        elif done % 6 == 0 and last >= 0:
            part, (across, down) = c.windows[last], c.axes(c.windows[last], degrees=rng.uniform(-90, 90))
            vein = np.abs((down + 9 * lumps[part] + across / 9) % (0.44 * cell) - cell / 9) - cell / 30
            c.paint(part, vein, (222, 214, 200), part_of=last)
        else:
            taken[window] |= outline < 0
            tone = rng.uniform(60, 190) * (1 + 0.15 * rng.uniform(-1, 1, 3))
            lit = 0.35 + 0.65 * c.ball(window, x, y, 1.2 * r, 1.2 * r)
            last = c.paint(window, outline, tone.tolist(), lit, grain=rng.uniform(0.1, 0.5))
    return f"{count} stones with moss on sand" if count else "sand with nothing on it"


Scene = Callable[[Canvas], str]
_SCENES: tuple[Scene, ...] = (
    _balls, _houses, partial(_stones, count=300), partial(_stones, count=0),
    _fish, _houses, _balls, _fish, _houses, _balls, _fish, _houses,
)  # fmt: skip
_SIZES = ((1, 1, 1), (1, 1, -1), (0.97, 0.99, 1), (0.86, 0.93, -1), (1, 0.89, 1))  # height, width, -1: turned


def _annotation(mask: RLEMask, number: int, rng: np.random.Generator) -> dict[str, object]:
    """The SA-1B fields of a mask that has pixels."""
    height, width = mask.shape
    left, top, wide, tall = (int(v) for v in mask.bbox())
    inside = np.argwhere(mask.crop((left, top, wide, tall)).to_array(order="C"))
    down, right = (int(v) for v in inside[rng.integers(len(inside))])
    crop, w, h = [0, 0, width, height], width * 2 // 3, height * 2 // 3
    for x, y in ((0, 0), (width - w, 0), (0, height - h), (width - w, height - h)):
        fits = x <= left and y <= top and left + wide <= x + w and top + tall <= y + h
        crop = [x, y, w, h] if fits and rng.random() < 0.15 else crop
    return {
        "bbox": [float(left), float(top), float(wide - 1), float(tall - 1)],
        "area": int(mask.area()),
        "segmentation": {"size": [height, width], "counts": mask.to_dict()["counts"].decode("ascii")},
        "predicted_iou": float(rng.uniform(0.88, 1)),
        "point_coords": [[left + right + int(rng.integers(2)) / 4, top + down + int(rng.integers(2)) / 4]],
        "crop_box": [float(v) for v in crop],
        "id": number,
        "stability_score": float(rng.uniform(0.92, 1)),
    }


def _record(scene: Scene, image_id: int, size: Sequence[int], seed: int) -> tuple[bytes, bytes, str, int]:
    """The JPEG, the JSON, the caption and the number of annotations of one image."""
    rng = np.random.Generator(np.random.PCG64([seed, image_id]))
    height, width = size
    canvas = Canvas(height, width, rng)
    caption = f"a photo of {scene(canvas)}"
    seen = [mask for mask in canvas.masks if mask.any()]
    order = enumerate(rng.permutation(len(seen)), image_id * _IDS_PER_IMAGE)
    table = {
        "image": {"image_id": image_id, "width": width, "height": height, "file_name": f"sa_{image_id}.jpg"},
        "annotations": [_annotation(seen[i], number, rng) for number, i in order],
    }
    return canvas.jpeg(), json.dumps(table).encode(), caption, len(seen)


def _require(name: str, value: int, least: int, most: float = math.inf) -> None:
    if not least <= value <= most:
        limits = f"at least {least}" if most == math.inf else f"{least} to {most}"
        raise TargetError(f"expected {name} of {limits}, found {value}", hint="Choose another number.")


def _require_nothing_else(path: Path, drawn: Path) -> None:
    """Leave alone what lies there already, unless it is what was drawn."""
    if os.path.lexists(path) and not (path.is_file() and filecmp.cmp(path, drawn, shallow=False)):
        raise TargetError(
            "expected nothing there, or the demo itself, found something else",
            where=str(path),
            hint="Give a folder of its own, such as demo-data; nothing that was there has been changed.",
        )


def draw_record(image_id: int, *, height: int, width: int, masks: int, seed: int) -> tuple[bytes, bytes]:
    """Draw one image of stones in the form, and about the weight, of an SA-1B record.

    `height` and `width` are pixels, 64 or more. `masks` is the exact count of annotations, at most one for 64
    pixels and below 10 000. `image_id` and `seed` are not negative, both decide what is drawn.
    Returns the bytes of the JPEG and of the JSON. Raises ValueError for an argument out of its range.
    """
    _require("the smaller of height and width", min(height, width), 64)
    _require("the smaller of image_id and seed", min(image_id, seed), 0)
    _require("masks", masks, 0, min(height * width // 64, _IDS_PER_IMAGE - 1))
    return _record(partial(_stones, count=masks), image_id, (height, width), seed)[:2]


@dataclass(frozen=True)
class DemoArchive:
    """What `write_demo` wrote: a tar, a JSON Lines file of captions, and how much is in them."""

    archive: Path
    captions: Path
    images: int
    annotations: int


def write_demo(
    directory: AnyPath, *, archive: str = "sa_000000", images: int = 12, height: int = 480, width: int = 720,
    first_id: int = 1, seed: int = 0,
) -> DemoArchive:  # fmt: skip
    """Write `<archive>.tar` and `<archive>-blip2-caption.json` into a directory, which is made if absent.

    `archive` is a plain name; `images` is 1 or more. `height` and `width` are those of the largest images
    in pixels, 192 or more: some are smaller, some turned. `first_id` is the first `image_id`; it and `seed`
    are not negative. What is there already stays: the first archive of SA-1B has the same name. Raises TargetError
    (a ValueError) for an argument out of its range, and where another file of either name is there.
    """
    directory = path_of(directory)
    _require("images", images, 1)
    _require("the smaller of height and width", min(height, width), 192)
    _require("the smaller of first_id and seed", min(first_id, seed), 0)
    if not archive or Path(archive).name != archive:
        raise TargetError(f"expected a plain name such as sa_000000, found {archive!r}")
    if directory.is_file():
        raise TargetError("expected a folder, found a file", where=str(directory), hint="Such as demo-data.")
    with write_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    result = directory / f"{archive}.tar", directory / f"{archive}-blip2-caption.json"
    unfinished = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in result]
    annotations, captions = 0, dict[str, str]()  # from caption to image, each only once
    try:
        with tarfile.open(unfinished[0], "w", format=tarfile.USTAR_FORMAT) as tar:
            for i in range(images):
                image_id, (down, across, turned) = first_id + i, _SIZES[i % len(_SIZES)]
                scene, size = _SCENES[i % len(_SCENES)], (int(down * height), int(across * width))[::turned]
                jpeg, table, caption, seen = _record(scene, image_id, size, seed)
                caption += f", number {i + 1}" if caption in captions else ""
                captions[caption] = f"sa_{image_id}.jpg"
                annotations += seen
                for suffix, content in ((".jpg", jpeg), (".json", table)):
                    member = tarfile.TarInfo(f"./sa_{image_id}{suffix}")
                    member.size, member.mtime = len(content), _MTIME_S
                    tar.addfile(member, io.BytesIO(content))
        lines = [json.dumps({"img": name, "prompt": caption}) + "\n" for caption, name in captions.items()]
        unfinished[1].write_bytes("".join(lines).encode())
        for temporary, path in zip(unfinished, result, strict=True):
            _require_nothing_else(path, temporary)
        for temporary, path in zip(unfinished, result, strict=True):
            os.replace(temporary, path)
    finally:
        for temporary in unfinished:
            temporary.unlink(missing_ok=True)
    return DemoArchive(*result, images, annotations)
