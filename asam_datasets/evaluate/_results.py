"""What the scores amount to: exact means, and the table that shows them beside the papers'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from asam_datasets.builds import Build
from asam_datasets.errors import TargetError, option
from asam_datasets.evaluate._options import Settings
from asam_datasets.evaluate._paper import PUBLISHED
from asam_datasets.evaluate._plan import EvaluatedSet
from asam_datasets.evaluate._state import RANK, ImageScore, Key, state_file
from asam_datasets.machine import write_atomically, write_errors
from asam_datasets.sources.evaluation import load_catalog
from asam_datasets.tables import Config

_MARK = "<!-- asam-datasets evaluate -->"
_PROMPTS = {"box": "with the box of each mask", "center-point": "with the point farthest from the border of each mask"}


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one set; shares are 0 … 1, and None where there is no mask.

    Args:
        config: its name.
        reading: how it was read when it was published: `default`, or `asam`, as ASAM's loaders do; and which variant.
        rows: first and last (exclusive) of those evaluated; `total` is how many there are.
        images, masks: that were scored.
        left_out: images without a mask, or with one that is too small for so many points.
        lost: masks of which nothing was left at the size that the model sees; their IoU counts as 0.
        miou: the number of the protocol: `mean_over_images` for asam, `mean_over_masks` for the others.
        mean_over_images: mean IoU of each image's masks, then of the images.
        mean_over_masks: mean IoU of all masks.
        oracle: as `miou`, for the best of the three masks that the model gives for a point.
        boundary_iou: as `miou`, of the boundaries; of sets with fine outlines.
        published: `sam` and `asam`, in percent: what ASAM's paper has for ViT-B and the same prompts.
    """

    config: str
    reading: str
    rows: tuple[int, int]
    total: int
    images: int
    masks: int
    left_out: int
    lost: int
    miou: float | None
    mean_over_images: float | None
    mean_over_masks: float | None
    oracle: float | None
    boundary_iou: float | None
    published: dict[str, float] | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What `evaluate` found; written as JSON, the same for any number of ranks and workers."""

    format: int = 1
    settings: Settings
    sets: list[SetResult]


def summarize(sets: Sequence[EvaluatedSet], scores: Mapping[Key, ImageScore], settings: Settings) -> Evaluation:
    """The means of each set."""
    return Evaluation(settings=settings, sets=[_summarize(one, scores, settings) for one in sets])


def _summarize(one: EvaluatedSet, scores: Mapping[Key, ImageScore], settings: Settings) -> SetResult:
    config = one.config
    images = [scores[config.name, row] for row in one.rows]
    scored = [image for image in images if not image.left_out]
    ious = [[mask.iou for mask in image.masks] for image in scored]
    best = [[mask.best_iou for mask in image.masks] for image in scored]
    pairs = [[mask.boundary for mask in image.masks if mask.boundary] for image in scored]
    boundaries = [[shared / covered for shared, covered in image] for image in pairs]
    by_image = settings.protocol == "asam"
    comparable = settings.protocol == "asam" and not settings.points
    published = PUBLISHED.get(config.name) if comparable else None
    return SetResult(
        config=config.name,
        reading=_reading(config),
        rows=(one.rows.start, one.rows.stop),
        total=one.total,
        images=len(scored),
        masks=sum(map(len, ious)),
        left_out=len(images) - len(scored),
        lost=sum(mask.is_lost for image in scored for mask in image.masks),
        miou=_mean(ious, by_image),
        mean_over_images=_mean(ious, True),
        mean_over_masks=_mean(ious, False),
        oracle=_mean(best, by_image) if settings.protocol == "center-point" else None,
        boundary_iou=_mean(boundaries, by_image) if any(boundaries) else None,
        published=published._asdict() if published else None,
    )


def _mean(values: Sequence[Sequence[float]], by_image: bool) -> float | None:
    """The mean over images of the means over their masks, or over all masks. `fsum` rounds once, whatever the order."""
    if by_image:
        means = [math.fsum(image) / len(image) for image in values]
    else:
        means = [value for image in values for value in image]
    return math.fsum(means) / len(means) if means else None


def _reading(config: Config[Build]) -> str:
    known = [build.evaluation for build in config.builds if build.evaluation]
    names = {f"{one.protocol}, {one.variant}" if one.variant else one.protocol for one in known}
    return "; ".join(sorted(names))


def table_of(evaluation: Evaluation) -> list[list[str]]:
    """The table, its head first: columns that no set has a value for are left out."""
    lines = [
        ["set", "images", "masks", "mIoU", "oracle", "boundary IoU", "SAM", "ASAM", "to SAM", "to ASAM"],
        *(_line(one) for one in evaluation.sets),
    ]
    shown = [column for column in range(len(lines[0])) if column < 4 or any(line[column] for line in lines[1:])]
    return [[line[column] for column in shown] for line in lines]


def _line(one: SetResult) -> list[str]:
    miou = None if one.miou is None else 100 * one.miou
    known = one.published or {}
    figures = [known.get(name) for name in ("sam", "asam")]
    apart = [None if figure is None or miou is None else miou - figure for figure in figures]
    return [
        one.config,
        f"{one.images:,}",
        f"{one.masks:,}",
        "none" if miou is None else f"{miou:.1f}",
        "" if one.oracle is None else f"{100 * one.oracle:.1f}",
        "" if one.boundary_iou is None else f"{100 * one.boundary_iou:.1f}",
        *("" if figure is None else f"{figure:.1f}" for figure in figures),
        *("" if figure is None else f"{figure:+.1f}" for figure in apart),
    ]


def notes_of(evaluation: Evaluation) -> list[str]:
    """What has to be known beside the numbers, a sentence each."""
    settings = evaluation.settings
    prompts = _PROMPTS.get(settings.protocol, _PROMPTS["box"])
    if settings.points:
        prompts = f"with {settings.points} random points of each mask (seed {settings.seed})"
    over = "images, of each of which over its masks" if settings.protocol == "asam" else "all masks"
    notes = [f"mIoU in percent, protocol {settings.protocol}, {prompts}: mean over {over}."]
    if any(one.published for one in evaluation.sets):
        notes.append("SAM and ASAM: ASAM's paper (CVPR 2024), ViT-B.")
    for one in evaluation.sets:
        if one.rows != (0, one.total):
            notes.append(f"{one.config}: rows {one.rows[0]} to {one.rows[1] - 1} of {one.total:,} only.")
        if settings.max_masks:
            notes.append(f"{one.config}: at most {settings.max_masks} masks of an image.")
        entry = load_catalog().get(one.config)
        if one.published and entry and entry.protocol_asam and one.reading != "asam":
            notes.append(f"{one.config}: published in the reading {one.reading}, not in that of ASAM's loaders.")
        if one.left_out:
            notes.append(f"{one.config}: {one.left_out:,} images left out, without a mask or with too small a one.")
        if one.lost:
            masks, vanish = ("mask", "vanishes") if one.lost == 1 else ("masks", "vanish")
            counted = f"{masks} {vanish} at the size that the model sees, and count{'s' * (one.lost == 1)} as 0"
            notes.append(f"{one.config}: {one.lost:,} {counted}.")
    return notes


def markdown_of(evaluation: Evaluation) -> str:
    """The table and the notes, in Markdown, with all settings."""
    head, *lines = table_of(evaluation)
    rule = ["---", *["---:"] * (len(head) - 1)]
    rows = ["| " + " | ".join(line) + " |" for line in (head, rule, *lines)]
    settings = evaluation.settings
    model = f"{settings.model} ({settings.model_revision})"
    facts = [
        f"model: {model}" + (f", checkpoint {settings.checkpoint}" if settings.checkpoint else ""),
        f"dataset: {settings.dataset} ({settings.revision})",
        f"device: {settings.device}, {settings.dtype}",
        "versions: " + ", ".join(f"{name} {version}" for name, version in settings.versions.items()),
    ]
    return "\n".join([_MARK, "", *rows, "", *notes_of(evaluation), "", *(f"- {fact}" for fact in facts), ""])


def check_targets(out: Path, *, draws: bool = False) -> None:
    """Refuse to write over what is none of ours.

    Args:
        out: the JSON.
        draws: whether the sheet is written as well.

    Raises:
        TargetError: a folder, a name that is not `*.json`, or a file there that this program did not make.
    """
    if out.suffix != ".json" or out.is_dir():
        raise TargetError(
            f"expected a name that ends with .json, found {out.name!r}",
            where=option("out"),
            hint="Give a file such as results.json.",
        )
    if RANK.search(out.stem):
        raise TargetError(
            f"expected a name that is not that of a rank's scores, found {out.name!r}",
            where=option("out"),
            hint="Give a file such as results.json.",
        )
    targets = [(out, _is_evaluation(out)), (table_file(out), _is_table(table_file(out)))]
    targets += [(sheet_file(out), _is_evaluation(out))] if draws else []  # a sheet is ours beside results of ours
    for path, is_ours in targets:
        if path.exists() and not is_ours:
            raise TargetError(
                "expected nothing there, or what `asam-datasets evaluate` wrote, found another file",
                where=str(path),
                hint=f"Give another {option('out')}, or move that file away; nothing was changed.",
            )


def _is_evaluation(path: Path) -> bool:
    try:
        msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError):
        return False
    return True


def _is_table(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith(_MARK.encode())


def table_file(out: Path) -> Path:
    """The Markdown beside the JSON."""
    return out.with_suffix(".md")


def sheet_file(out: Path) -> Path:
    """The sheet of the worst masks beside the JSON."""
    return out.with_name(f"{out.stem}.worst.png")


def files_of(out: Path, *, draws: bool = False) -> list[Path]:
    """All that an evaluation leaves; `draws` tells whether it was asked for a sheet."""
    sheet = [sheet_file(out)] if draws else []
    return [path for path in (out, table_file(out), state_file(out), *sheet) if path.exists()]


def write_results(out: Path, evaluation: Evaluation) -> None:
    """Write the Markdown, then the JSON, each as a whole.

    Raises:
        TargetError: they cannot be written.
    """
    with write_errors(out):
        write_atomically(table_file(out), markdown_of(evaluation).encode())
        write_atomically(out, msgspec.json.format(msgspec.json.encode(evaluation), indent=2) + b"\n")
