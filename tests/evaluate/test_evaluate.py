"""`evaluate` against plain, dense implementations of its protocols; the same bytes however it is run."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import signal
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from archives import tar_bytes, tiny_members
from by_hand import reindex
from conftest import ROOT, TORCH, Ran, Run, clean_environment, run_python
from drawn_sets import COCO, HRSOD, draw_coco, draw_hrsod, regroup, rows_of
from local_hub import LocalHub
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="pip install asam_datasets[evaluate]")
transformers = pytest.importorskip("transformers", reason="pip install asam_datasets[evaluate]")

from tiny_models import make_sam  # noqa: E402
from torch.nn.functional import interpolate  # noqa: E402

from asam_datasets.cli import app  # noqa: E402
from asam_datasets.errors import AsamDatasetsError, ModelError, SourceError, TargetError  # noqa: E402
from asam_datasets.evaluate import EvaluateOptions, Evaluation, evaluate, notes_of, table_of  # noqa: E402
from asam_datasets.progress import Listener  # noqa: E402

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SIDE = 128
MEAN, DEVIATION = (torch.tensor(v).view(3, 1, 1) for v in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
ROUNDING = 1e-4
"""A logit so near zero is either sign: prompts one by one are summed in another order than in a batch. Near zero the
two were found to be 4e-5 apart, and 2e-4 elsewhere, with logits up to 5."""
TOGETHER = 32
"""Prompts in a batch, as the package makes them: boundaries have no bounds that hold, so their logits must be equal."""

Mask = NDArray[np.bool_]
Logits = NDArray[np.float32]
Bounds = NDArray[np.float64]
"""The lowest and the highest number that is right."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Path:
    """`coco2017_val` with five images in three row groups, and `hrsod_te` with three in two."""
    base = tmp_path_factory.mktemp("sets")
    draw_coco(base / "coco")
    draw_hrsod(base / "hrsod")
    done = publish(
        "--evaluation", f"coco2017_val={base / 'coco'}", f"hrsod_te={base / 'hrsod'}", "--out", base / "dataset"
    )
    assert done.code == 0, done.err
    for part in (base / "dataset").glob("data/evaluation/*/part-000.parquet"):
        regroup(part, 2)
    reindex(base / "dataset")
    return base / "dataset"


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random SAM for images of 128 × 128."""
    return make_sam(tmp_path_factory.mktemp("sam"), seed=3, side=SIDE)


@pytest.fixture(scope="module")
def model(sam: Path) -> Any:
    return transformers.SamModel.from_pretrained(sam).eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the package does: sums in another order are other logits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scores(out: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The lines of the scores by config and row."""
    lines = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["settings"]
    return {(line["config"], line["row"]): line for line in lines[1:]}


def ious(line: dict[str, Any]) -> list[float]:
    """Of the masks that the model itself thinks best."""
    pairs = [mask["pixels"][mask.get("chosen", 0)] for mask in line.get("masks", [])]
    return [shared / covered for shared, covered in pairs]


# -------------------------------------------------------------------------------- plain, dense, mask by mask


def image_and_masks(row: dict[str, Any]) -> tuple[NDArray[np.uint8], list[Mask]]:
    image = np.array(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
    return image, [coco.decode(one["segmentation"]).astype(bool) for one in row["annotations"]]


def dense_iou(logits: Logits, true: Mask) -> Bounds:
    """The IoU of where the logits are over zero, with the pixels that may fall either way off and on."""
    surely, maybe = logits > ROUNDING, logits > -ROUNDING
    lowest = np.logical_and(surely, true).sum() / np.logical_or(maybe, true).sum()
    highest = np.logical_and(maybe, true).sum() / np.logical_or(surely, true).sum()
    return np.array([lowest, highest])


def dense_boundary_iou(logits: Logits, true: Mask) -> Bounds:
    """As the authors of Boundary IoU have it."""
    height, width = true.shape
    steps = max(1, round(0.02 * math.hypot(height, width)))

    def edge(mask: Mask) -> Mask:
        padded = np.pad(mask.astype(np.uint8), 1)
        core = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)[1:-1, 1:-1]
        return mask & (core == 0)

    right = edge(true)
    edges = [edge(logits > limit) for limit in (ROUNDING, 0, -ROUNDING)]
    ious = [np.logical_and(found, right).sum() / np.logical_or(found, right).sum() for found in edges]
    return np.array([min(ious), max(ious)])


def check_within(found: Any, expected: Any) -> None:
    """Compare numbers with their bounds, to 1e-6; few pixels fall either way."""
    lowest, highest = np.asarray(expected)[..., 0], np.asarray(expected)[..., 1]
    assert np.all(highest - lowest < 1e-3)
    assert np.all(np.asarray(found) > lowest - 1e-6), (found, expected)
    assert np.all(np.asarray(found) < highest + 1e-6), (found, expected)


def squeezed(values: Any) -> Any:
    """float32 (height, width, channels) to (1, channels, SIDE, SIDE), as ASAM's loader lays it out."""
    return interpolate(values.permute(2, 0, 1)[None], (SIDE, SIDE), mode="bilinear", align_corners=False)


def points_of(mask: Mask, count: int, seed: int, image_id: str, annotation: int) -> list[list[int]]:
    """Pixels numbered row by row; raw bits of Philox as shares of their number; what was drawn is drawn again."""
    ys, xs = np.nonzero(mask)
    bits = np.random.Philox(np.random.SeedSequence((seed, zlib.crc32(image_id.encode()), annotation)))
    drawn: list[int] = []
    while len(drawn) < count:
        number = int(bits.random_raw()) * len(ys) // 2**64
        if number not in drawn:
            drawn.append(number)
    return [[int(xs[number]), int(ys[number])] for number in drawn]


def asam(model: Any, row: dict[str, Any], points: int, seed: int = 0) -> tuple[list[Bounds], list[Bounds]] | None:
    """IoU and boundary IoU of each mask by ASAM's protocol; None where its program goes on with the next image."""
    image, masks = image_and_masks(row)
    pixels = squeezed(torch.from_numpy(image).float()).to(torch.uint8)
    embeddings = model.get_image_embeddings((pixels - MEAN) / DEVIATION)
    prompts: dict[int, list[Any]] = {}
    for annotation, true in enumerate(masks):
        small = squeezed(torch.from_numpy(true[:, :, None] * 255.0).float())[0, 0].numpy() > 128
        ys, xs = np.nonzero(small)
        if points and len(ys) < points:
            return None
        if points:
            prompts[annotation] = points_of(small, points, seed, row["image_id"], annotation)
        elif len(ys):
            prompts[annotation] = [xs.min(), ys.min(), xs.max(), ys.max()]
    found, boundaries = ([np.zeros(2) for _ in masks] for _ in range(2))
    for first in range(0, len(prompts), TOGETHER):
        some = list(prompts)[first : first + TOGETHER]
        given = torch.tensor([[prompts[annotation] for annotation in some]]).float()
        with torch.no_grad():
            prompt = {"input_points" if points else "input_boxes": given}
            made = model(image_embeddings=embeddings, **prompt, multimask_output=False).pred_masks[0]
        for annotation, logits in zip(some, made, strict=True):
            true = masks[annotation]
            large = interpolate(logits[None], scale_factor=4, mode="bilinear", align_corners=False)
            guess = interpolate(large, true.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
            found[annotation] = dense_iou(guess, true)
            boundaries[annotation] = dense_boundary_iou(guess, true)
    return found, boundaries


def padded(model: Any, row: dict[str, Any], prompt_of: Any) -> Iterator[tuple[NDArray[np.float32], list[Logits], Mask]]:
    """What the model thinks of its three masks (or one), their logits, and the true one; everything by transformers'
    own processor."""
    image, masks = image_and_masks(row)
    kind = getattr(transformers, "SamImageProcessorPil", None) or transformers.SamImageProcessor
    sizes = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}, "mask_size": None}
    processor = transformers.SamProcessor(kind(**{name: size for name, size in sizes.items() if size}))
    for true in masks:
        prompt = prompt_of(true)
        given = processor(Image.fromarray(image), **prompt, return_tensors="pt")
        with torch.no_grad():
            made = model(**_as_float32(given), multimask_output="input_points" in prompt)
        large = processor.image_processor.post_process_masks(
            made.pred_masks, given["original_sizes"], given["reshaped_input_sizes"], binarize=False
        )[0][0]
        yield made.iou_scores[0, 0].numpy(), [one.numpy() for one in large], true


def _as_float32(given: Any) -> dict[str, Any]:
    names = ("pixel_values", "input_points", "input_boxes")
    return {name: given[name].float() for name in names if name in given}


# --------------------------------------------------------------------------------------------- the protocols


@pytest.mark.parametrize("points", [0, 10], ids=["box", "points"])
def test_asam_equals_a_plain_dense_implementation(
    points: int, sets: Path, sam: Path, model: Any, tmp_path: Path
) -> None:
    options = EvaluateOptions(model=str(sam), points=points, seed=7 if points else 0)
    out = tmp_path / "results.json"
    done = evaluate(sets, out=out, options=options)
    lines = scores(out)
    assert [one.config for one in done.sets] == ["coco2017_val", "hrsod_te"]
    for one in done.sets:
        rows = rows_of(sets, one.config)
        dense = [asam(model, row, points, seed=7) for row in rows]
        for number, expected in enumerate(dense):
            line = lines[one.config, number]
            assert bool(line.get("left_out")) == (expected is None)
            if expected is not None:
                check_within(ious(line), expected[0])
        known = [expected for expected in dense if expected is not None]
        check_within(one.miou, np.mean([np.mean(found, axis=0) for found, _ in known], axis=0))
        assert one.miou == one.mean_over_images
        check_within(one.mean_over_masks, np.mean(np.concatenate([found for found, _ in known]), axis=0))
        assert (one.images, one.left_out) == (len(known), len(rows) - len(known))
        if one.config == "hrsod_te":
            check_within(one.boundary_iou, np.mean([np.mean(boundary, axis=0) for _, boundary in known], axis=0))
        else:
            assert one.boundary_iou is None
        assert 0.02 < (one.miou or 0) < 0.98, "a model whose masks say nothing would hide differences"
    # the pixel of the second image: no box, or not ten points
    second = lines["coco2017_val", 1]
    if points:
        assert second["left_out"] == f"a mask has fewer than {points} pixels at {SIDE} × {SIDE}"
        assert "masks" not in second
    else:
        assert second["masks"][3] == {"annotation": 3, "pixels": [[0, 1]], "is_lost": True}
        assert done.sets[0].lost == 1


def test_other_seeds_are_other_points(sets: Path, sam: Path, tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        options = EvaluateOptions(model=str(sam), points=3, seed=seed, configs=("hrsod_te",))
        found.append(evaluate(sets, out=tmp_path / f"{seed}.json", options=options).sets[0].miou)
    assert found[0] != found[1]


def test_center_point_is_that_of_sams_paper(sets: Path, sam: Path, model: Any, tmp_path: Path) -> None:
    def prompt_of(true: Mask) -> dict[str, Any]:
        distances = cv2.distanceTransform(np.pad(true.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        y, x = np.unravel_index(distances[1:-1, 1:-1].argmax(), true.shape)
        return {"input_points": [[[[int(x), int(y)]]]], "input_labels": [[[1]]]}

    out = tmp_path / "results.json"
    options = EvaluateOptions(model=str(sam), protocol="center-point", max_masks=6)
    done = evaluate(sets, out=out, options=options)
    lines = scores(out)
    for one in done.sets:
        chosen, best = [], []
        for number, row in enumerate(rows_of(sets, one.config)):
            row["annotations"] = row["annotations"][:6]
            for line, (thinks, masks, true) in zip(
                lines[one.config, number]["masks"], padded(model, row, prompt_of), strict=True
            ):
                expected = [dense_iou(mask, true) for mask in masks]
                check_within([a / b for a, b in line["pixels"]], expected)
                chosen.append(expected[int(thinks.argmax())])
                best.append(np.max(expected, axis=0))
        assert one.miou == one.mean_over_masks
        check_within(one.miou, np.mean(chosen, axis=0))
        check_within(one.oracle, np.mean(best, axis=0))
        assert one.oracle is not None
        assert one.miou is not None
        assert one.oracle > one.miou
        assert one.published is None, "their figures are of another protocol"


def test_box_is_sams_own(sets: Path, sam: Path, model: Any, tmp_path: Path) -> None:
    def prompt_of(true: Mask) -> dict[str, Any]:
        ys, xs = np.nonzero(true)
        return {"input_boxes": [[[float(n) for n in (xs.min(), ys.min(), xs.max(), ys.max())]]]}

    out = tmp_path / "results.json"
    done = evaluate(sets, out=out, options=EvaluateOptions(model=str(sam), protocol="box", max_masks=6))
    for one in done.sets:
        expected = []
        for row in rows_of(sets, one.config):
            row["annotations"] = row["annotations"][:6]
            expected += [dense_iou(masks[0], true) for _, masks, true in padded(model, row, prompt_of)]
        assert one.miou == one.mean_over_masks
        check_within(one.miou, np.mean(expected, axis=0))
        assert one.oracle is None


# ------------------------------------------------------------------------------- the same, however it is run


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    return clean_environment(home, PYTHONPATH=str(ROOT), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def unbroken(sets: Path, sam: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one process without workers."""
    out = tmp_path_factory.mktemp("unbroken") / "results.json"
    evaluate(sets, out=out, options=EvaluateOptions(model=str(sam), worst=2))
    return out


def files(out: Path) -> dict[str, bytes]:
    """All that lies beside the results, too."""
    return {path.name: path.read_bytes() for path in out.parent.iterdir()}


@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (3, 0), (3, 2)])
def test_the_same_bytes_for_any_ranks_and_workers(
    ranks: int, workers: int, sets: Path, sam: Path, unbroken: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out/results.json"
    program = tmp_path / "program.py"  # what is started as a script is forked, `-m asam_datasets` would not be
    program.write_text("from asam_datasets.cli import main\nmain()\n")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    arguments = ["--model", str(sam), "--workers", str(workers), "--worst", "2", "--out", str(out)]
    ran = run_python(*torchrun, program, "evaluate", str(sets), *arguments, env=environment, imports=TORCH)
    assert ran.code == 0, ran.err
    assert files(out) == files(unbroken)
    assert sorted(files(out)) == ["results.json", "results.jsonl", "results.md", "results.worst.png"]
    assert ran.out.count("Wrote") == 1, "one rank speaks"


# A program that dies by SIGKILL when it comes to a moment.
DYING = """
import os, signal, sys
from pathlib import Path
from asam_datasets.cli import main
from asam_datasets.evaluate import _results, _run, _state

moment, lines = sys.argv[1], 0
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
write = _state.Appender.write

def write_and_die(self, line):
    global lines
    lines += 1
    if moment in (f"in line {lines}", f"in line {lines} of rank {os.environ.get('RANK')}"):
        encoded = _state.msgspec.json.encode(line)
        self._file.write(encoded[: len(encoded) // 2])
        self._file.flush()
        die()
    write(self, line)
    if moment == f"after line {lines}":
        die()

_state.Appender.write = write_and_die
if moment == "before the lines are joined":
    _run.join_states = die
if moment == "before the JSON":
    atomically = _results.write_atomically
    _results.write_atomically = lambda path, content: die() if path.suffix == ".json" else atomically(path, content)
main(sys.argv[2:])
"""
MOMENTS = ("in line 1", "after line 3", "in line 4", "before the lines are joined", "before the JSON")


def test_killed_at_five_moments_it_ends_the_same(
    sets: Path, sam: Path, unbroken: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out/results.json"
    command = ["evaluate", str(sets), "--model", str(sam), "--worst", "2", "--out", str(out)]

    def run(moment: str) -> Ran:
        return run_python("-c", DYING, moment, *command, env=environment, imports=TORCH)

    known = 0
    for moment in MOMENTS:
        ran = run(moment)
        assert ran.code == -signal.SIGKILL, (moment, ran.err)
        assert not out.exists()
        lines = out.with_suffix(".jsonl").read_bytes().count(b"\n")
        assert lines >= known, "what was scored is not scored again"
        known = lines
    assert known == 1 + len(COCO) + len(HRSOD)
    ran = run("never")
    assert ran.code == 0, ran.err
    assert "8 of 8 images are scored already" in ran.err
    assert files(out) == files(unbroken)
    assert run("never").code == 0
    assert files(out) == files(unbroken), "once more, nothing changes"


def test_a_rank_dies_and_one_process_goes_on(
    sets: Path, sam: Path, unbroken: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out/results.json"
    program = tmp_path / "program.py"
    program.write_text(DYING)
    command = ["evaluate", str(sets), "--model", str(sam), "--worst", "2", "--out", str(out)]
    ran = run_python(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3", str(program), "in line 3 of rank 1",
        *command, env=environment, imports=TORCH,
    )  # fmt: skip
    assert ran.code != 0
    mine = out.with_name("results.rank-1.jsonl").read_bytes()
    assert mine.count(b"\n") == 2
    assert not mine.endswith(b"\n")
    before: list[str] = []
    done = evaluate(
        sets, out=out, options=EvaluateOptions(model=str(sam), worst=2), listener=Listener(on_stage=before.append)
    )
    assert any("images are scored already" in line for line in before)
    assert files(out) == files(unbroken)
    assert done.sets[0].images == len(COCO)


# ------------------------------------------------------------------------------------- what is gone on from


def changed(line: bytes, **settings: Any) -> bytes:
    header = json.loads(line)
    header["settings"].update(settings)
    return json.dumps(header).encode()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"protocol": "box"}, "expected scores with protocol asam, found them with box"),
        ({"model_revision": "0123"}, "expected scores with model revision "),
        ({"checkpoint": "0123"}, "expected scores with checkpoint none, found them with 0123"),
        ({"revision": "0123"}, "expected scores with revision "),
        ({"max_masks": 3}, "expected scores with max masks none, found them with 3"),
        ({"device": "NVIDIA H100"}, "expected scores with device cpu, found them with NVIDIA H100"),
        ({"versions": {"torch": "1.0"}}, "found them with torch 1.0"),
    ],
)
def test_scores_of_something_else_are_refused(
    settings: dict[str, Any], said: str, sets: Path, sam: Path, unbroken: Path, tmp_path: Path
) -> None:
    header, *lines = unbroken.with_suffix(".jsonl").read_bytes().splitlines()
    state = tmp_path / "results.rank-4.jsonl"
    state.write_bytes(b"\n".join([changed(header, **settings), *lines]) + b"\n")
    before = state.read_bytes()
    with pytest.raises(SourceError) as raised:
        evaluate(sets, out=tmp_path / "results.json", options=EvaluateOptions(model=str(sam)))
    assert said in str(raised.value)
    assert str(state) in str(raised.value)
    assert "remove that file to start anew" in raised.value.hint
    assert files(tmp_path / "results.json") == {state.name: before}


def test_a_dataset_and_a_model_may_move(sets: Path, sam: Path, unbroken: Path, tmp_path: Path) -> None:
    shutil.copytree(unbroken.parent, tmp_path / "out")
    shutil.copytree(sets, tmp_path / "elsewhere")
    shutil.copytree(sam, tmp_path / "sam")
    heard: list[str] = []
    done = evaluate(
        tmp_path / "elsewhere",
        out=tmp_path / "out/results.json",
        options=EvaluateOptions(model=str(tmp_path / "sam")),
        listener=Listener(on_stage=heard.append),
    )
    assert "8 of 8 images are scored already" in heard
    assert [one["miou"] for one in json.loads(unbroken.read_bytes())["sets"]] == [one.miou for one in done.sets]


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("results.jsonl", b'{"img": "a.jpg"}\n', SourceError, "line 1: expected a line that `asam-datasets evaluate`"),
        ("results.jsonl", b"half a line of somebody's", SourceError, "line 1: expected a line that"),
        ("results.json", b'{"a": 1}', TargetError, "expected nothing there, or what `asam-datasets evaluate`"),
        (
            "results.md",
            b"# My results\n",
            TargetError,
            "expected nothing there, or what `asam-datasets evaluate` wrote",
        ),
        ("results.worst.png", b"mine", TargetError, "expected nothing there, or what `asam-datasets evaluate` wrote"),
    ],
)
def test_what_is_somebody_elses_stays(
    name: str, content: bytes, error: type[AsamDatasetsError], said: str, sets: Path, sam: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match="expected") as raised:
        evaluate(sets, out=tmp_path / "results.json", options=EvaluateOptions(model=str(sam), worst=1))
    assert said in str(raised.value)
    assert files(tmp_path / "results.json") == {name: content}


HUB_MODELS = """
import sys
from pathlib import Path
from asam_datasets.errors import AsamDatasetsError
from asam_datasets.evaluate import EvaluateOptions, evaluate
for model, out in (("a/b", "r"), ("c/d", "r"), ("c/d", "fresh")):
    options = EvaluateOptions(model=model, device="cpu", configs=("hrsod_te",), rows="0:1")
    try:
        print(evaluate(sys.argv[1], out=Path(f"{out}.json"), options=options).settings.model_revision)
    except AsamDatasetsError as error:
        print(error)
"""


def test_two_models_of_the_hub_are_told_apart(sets: Path, sam: Path, tmp_path: Path) -> None:
    """By their commits, as the client library keeps them; scores of one are never those of the other."""
    for name, seed in (("a--b", 3), ("c--d", 9)):
        folder = tmp_path / f"home/hub/models--{name}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs/main").write_text(str(seed) * 40)
        shutil.copytree(
            make_sam(tmp_path / f"sam-{seed}", seed=seed, side=SIDE), folder / "snapshots" / (str(seed) * 40)
        )
    env = {**clean_environment(tmp_path / "x"), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    ran = run_python("-c", HUB_MODELS, sets, env={**env, "PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    assert ran.code == 0, ran.err
    first, refused, fresh = ran.out.splitlines()
    assert (first, fresh) == ("3" * 40, "9" * 40)
    assert f"expected scores with model revision {'9' * 40}, found them with {'3' * 40}" in refused


def test_a_name_of_a_ranks_file_is_refused(sets: Path, sam: Path, tmp_path: Path) -> None:
    """`r.rank-1.jsonl` would be taken for a rank's share of `r.json`, and join it."""
    with pytest.raises(TargetError, match="expected a name that is not that of a rank's scores"):
        evaluate(sets, out=tmp_path / "r.rank-1.json", options=EvaluateOptions(model=str(sam)))


def test_images_without_a_mask_are_counted_and_not_scored(publish: Run, sam: Path, tmp_path: Path) -> None:
    """As SA-Co has them: one image under two phrases, of which one is not in it."""
    (tmp_path / "set/images").mkdir(parents=True)
    Image.new("RGB", (64, 48), (9, 90, 9)).save(tmp_path / "set/images/a.png")
    images = [{"id": number, "file_name": "a.png", "width": 64, "height": 48} for number in (1, 2)]
    ring = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[5, 5, 40, 5, 40, 30, 5, 30]], "iscrowd": 0}
    table = {"images": images, "annotations": [ring], "categories": [{"id": 1, "name": "o"}]}
    (tmp_path / "set/a.json").write_text(json.dumps(table))
    (tmp_path / "mine.toml").write_text(
        '[mine]\nname = "x"\nhomepage = ""\nlicense = ""\nredistributable = "yes"\nsplit = "test"\n'
        'source_split = "test"\nkind = "instance"\n[mine.layout]\ntype = "coco"\nwithout_objects = "keep"\n'
        'files = [{ json = "a.json", images = ["images/{file_name}"] }]\n'
    )
    done = publish(
        "--catalog", tmp_path / "mine.toml", "--evaluation", f"mine={tmp_path / 'set'}", "--out", tmp_path / "ds"
    )
    assert done.code == 0, done.err
    found = evaluate(tmp_path / "ds", out=tmp_path / "r.json", options=EvaluateOptions(model=str(sam)))
    assert [(one.images, one.masks, one.left_out) for one in found.sets] == [(1, 1, 1)]
    assert any("1 images left out" in note for note in notes_of(found))


def test_a_damaged_line_is_told(sets: Path, sam: Path, unbroken: Path, tmp_path: Path) -> None:
    lines = unbroken.with_suffix(".jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_bytes(b"".join([*lines[:3], lines[3][:9] + b"\n", *lines[4:]]))
    with pytest.raises(SourceError, match=r"results\.jsonl: line 4: expected a line that"):
        evaluate(sets, out=tmp_path / "results.json", options=EvaluateOptions(model=str(sam)))


# --------------------------------------------------------------------------------------- what is evaluated


def test_rows_and_masks_can_be_fewer_and_more_later(sets: Path, sam: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    whole = scores(unbroken)
    some = evaluate(sets, out=out, options=EvaluateOptions(model=str(sam), configs=("coco2017_val",), rows="1:4"))
    assert sorted(scores(out)) == [("coco2017_val", row) for row in (1, 2, 3)]
    assert (some.sets[0].rows, some.sets[0].total, some.sets[0].images) == ((1, 4), 5, 3)
    assert any("rows 1 to 3 of 5 only" in note for note in notes_of(some))
    heard: list[str] = []
    listener = Listener(on_stage=heard.append)
    more = evaluate(
        sets, out=out, options=EvaluateOptions(model=str(sam), configs=("evaluation",), worst=2), listener=listener
    )
    assert "3 of 8 images are scored already" in heard
    assert scores(out) == whole
    assert json.loads(out.read_bytes()) == json.loads(unbroken.read_bytes())
    assert [one.config for one in more.sets] == ["coco2017_val", "hrsod_te"]
    few = evaluate(sets, out=tmp_path / "few.json", options=EvaluateOptions(model=str(sam), rows="0", max_masks=2))
    assert [(one.images, one.masks) for one in few.sets] == [(1, 2), (1, 1)]


def test_a_dataset_without_sets_is_evaluated_by_its_archives(publish: Run, sam: Path, tmp_path: Path) -> None:
    (tmp_path / "sa_000000.tar").write_bytes(tar_bytes(tiny_members(3)))
    assert publish("--train", tmp_path / "sa_000000.tar", "--out", tmp_path / "dataset").code == 0
    options = EvaluateOptions(model=str(sam), rows=":2")
    done = evaluate(tmp_path / "dataset", out=tmp_path / "results.json", options=options)
    assert [(one.config, one.images, one.masks, one.total) for one in done.sets] == [("train", 2, 4, 3)]
    with pytest.raises(SourceError, match="found controlnet without annotations"):
        evaluate(
            tmp_path / "dataset",
            out=tmp_path / "other.json",
            options=EvaluateOptions(model=str(sam), configs=("controlnet",)),
        )


def test_sets_without_images_are_left_out(publish: Run, sam: Path, tmp_path: Path) -> None:
    draw_hrsod(tmp_path / "hrsod")
    out = tmp_path / "dataset"
    done = publish("--evaluation", f"hrsod_te={tmp_path / 'hrsod'}", "--annotations-only", "hrsod_te", "--out", out)
    assert done.code == 0, done.err
    heard: list[str] = []
    with pytest.raises(SourceError, match="expected sets with their images, found none"):
        evaluate(
            out,
            out=tmp_path / "r.json",
            options=EvaluateOptions(model=str(sam)),
            listener=Listener(on_stage=heard.append),
        )
    assert "hrsod_te is left out: it was published without its images" in heard
    with pytest.raises(SourceError, match="found hrsod_te without image"):
        evaluate(out, out=tmp_path / "r.json", options=EvaluateOptions(model=str(sam), configs=("hrsod_te",)))


def test_from_the_hub(sets: Path, sam: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = "xhk/ASAM-Datasets"
    with LocalHub(tmp_path / "hub") as hub:
        from huggingface_hub import HfApi, close_session

        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in {
            "ENDPOINT": hub.url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": str(tmp_path / "cache"),
        }.items():  # fmt: skip
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        api = HfApi(endpoint=hub.url, token="hf_test")
        api.create_repo(repo, repo_type="dataset")
        api.upload_folder(folder_path=sets, repo_id=repo, repo_type="dataset")
        commit = api.dataset_info(repo).sha
        hub.clear_log()
        out = tmp_path / "results.json"
        given = ["--model", str(sam), "--config", "hrsod_te", "--out", str(out), "--json"]
        ran = CliRunner().invoke(app, ["evaluate", repo, *given])
        close_session()  # the server waits for connections that are open
        assert ran.exit_code == 0, ran.output
        gone = sum(request.bytes_out for request in hub.log if request.path.endswith(".parquet"))
    done = json.loads(ran.stdout)
    assert done["settings"]["revision"] == commit
    assert json.loads(out.read_bytes()) == done
    assert done["sets"] == json.loads(unbroken.read_bytes())["sets"][1:]
    (part,) = sets.glob("data/evaluation/hrsod_te-*/part-000.parquet")
    assert gone < part.stat().st_size


# ------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_replaces_tensors_of_the_model(sets: Path, sam: Path, model: Any, tmp_path: Path) -> None:
    name = "mask_decoder.mask_tokens.weight"
    tokens = {name: torch.randn(model.state_dict()[name].shape, generator=torch.Generator().manual_seed(1))}
    (tmp_path / "tuned").mkdir()
    file = tmp_path / "tuned/checkpoint.pt"
    torch.save({"step": 1, "tokens": tokens}, file)
    torch.save(tokens, tmp_path / "plain.pt")
    made = []
    for given in (None, tmp_path / "tuned", file, tmp_path / "plain.pt"):
        options = EvaluateOptions(
            model=str(sam), checkpoint=None if given is None else str(given), configs=("hrsod_te",)
        )
        done = evaluate(sets, out=tmp_path / f"{len(made)}.json", options=options)
        made.append(done.sets[0].miou)
        expected = None if given is None else hashlib.sha256((file if given.is_dir() else given).read_bytes())
        assert done.settings.checkpoint == (None if expected is None else expected.hexdigest())
    whole = tmp_path / "whole"
    tuned = transformers.SamModel.from_pretrained(sam)
    tuned.load_state_dict(tokens, strict=False)
    tuned.save_pretrained(whole)
    options = EvaluateOptions(model=str(whole), configs=("hrsod_te",))
    assert made[1:] == [evaluate(sets, out=tmp_path / "whole.json", options=options).sets[0].miou] * 3
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"tokens": {"mask_decoder.mask_tokens.weight": torch.zeros(2, 3)}}, "where the model has (4, 32)"),
        ({"tokens": {"transformer.layers.0.bias": torch.zeros(3)}}, "where the model has no such tensor"),
        ({"tokens": {}}, "expected `tokens`, tensors by their names in the model, found none"),
        ({"step": 3}, "expected `tokens`, tensors by their names in the model, found none"),
        (b"nothing", "expected a checkpoint that torch can load, found "),
        (None, "expected a checkpoint, a file or a folder with checkpoint.pt, found none"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    content: Any, said: str, sets: Path, sam: Path, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(ModelError) as raised:
        evaluate(sets, out=tmp_path / "r.json", options=EvaluateOptions(model=str(sam), checkpoint=str(tmp_path)))
    assert said in str(raised.value)
    assert not (tmp_path / "r.json").exists()


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
def test_tuned_by_the_example_and_measured(
    publish: Run, sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sa_000000.tar").write_bytes(tar_bytes(tiny_members(4)))
    assert publish("--train", tmp_path / "sa_000000.tar", "--out", tmp_path / "dataset").code == 0
    monkeypatch.syspath_prepend(ROOT / "examples")
    import tune_sam

    tuned = tmp_path / "tuned-sam"
    given = ["tune_sam.py", "--dataset", str(tmp_path / "dataset"), "--out", str(tuned), "--steps", "2"]
    monkeypatch.setattr(sys, "argv", given)
    tune_sam.main()
    out = tmp_path / "results.json"
    arguments = ["evaluate", str(sets), "--checkpoint", str(tuned), "--config", "hrsod_te", "--out", str(out)]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    done = json.loads(out.read_bytes())
    assert done["settings"]["checkpoint"] == hashlib.sha256((tuned / "checkpoint.pt").read_bytes()).hexdigest()
    # The same model, put together by hand.
    torch.manual_seed(0)
    model = tune_sam.make_model("")
    model.load_state_dict(torch.load(tuned / "checkpoint.pt", weights_only=True)["tokens"], strict=False)
    model.save_pretrained(tmp_path / "by hand")
    options = EvaluateOptions(model=str(tmp_path / "by hand"), configs=("hrsod_te",))
    expected = evaluate(sets, out=tmp_path / "expected.json", options=options)
    assert done["sets"][0]["miou"] == expected.sets[0].miou


# ------------------------------------------------------------------------------------- what people get to see


def test_the_table_stands_beside_the_papers(unbroken: Path, sets: Path, sam: Path) -> None:
    done = evaluate(sets, out=unbroken, options=EvaluateOptions(model=str(sam), worst=2))
    head, *lines = table_of(done)
    assert head == ["set", "images", "masks", "mIoU", "boundary IoU", "SAM", "ASAM", "to SAM", "to ASAM"]
    miou = 100 * (done.sets[1].miou or 0)
    assert lines[1][:4] == ["hrsod_te", "3", "3", f"{miou:.1f}"]
    assert lines[1][5:] == ["88.9", "91.3", f"{miou - 88.9:+.1f}", f"{miou - 91.3:+.1f}"]
    assert lines[0][4] == "", "no boundary IoU for outlines as COCO's are"
    text = unbroken.with_suffix(".md").read_text()
    assert "| " + " | ".join(lines[1]) + " |" in text
    for fact in (str(sam), str(sets), "protocol asam, with the box of each mask", "1 mask vanishes", "torch "):
        assert fact in text
    saved = json.loads(unbroken.read_bytes())
    assert saved["settings"]["versions"]["torch"] == torch.__version__
    assert saved["settings"]["protocol"] == "asam"
    assert saved["sets"][1]["published"] == {"sam": 88.9, "asam": 91.3}


def test_the_command_line(sets: Path, sam: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    given = ["--model", str(sam), "--out", str(out), "--points", "2", "--dtype", "bfloat16", "--rows", "0:1"]
    ran = CliRunner().invoke(app, ["evaluate", "--config", "hrsod_te", "coco2017_val", str(sets), *given])
    assert ran.exit_code == 0, ran.output
    assert "with 2 random points of each mask (seed 0)" in ran.output
    assert [one["config"] for one in json.loads(out.read_bytes())["sets"]] == ["hrsod_te", "coco2017_val"]
    assert str(out.with_suffix(".md")) in ran.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"protocol": "iou"}, "protocol: expected one of asam, center-point, box, found 'iou'"),
        ({"points": 5, "protocol": "box"}, "expected points with the protocol asam, found it with box"),
        ({"workers": -1}, "expected workers of at least 0, found -1"),
        ({"max_masks": 0}, "expected max_masks of at least 1, found 0"),
        ({"worst": 900}, "expected worst of at most 200, found 900"),
        ({"dtype": "int8"}, "dtype: expected one of float32, bfloat16, float16, found 'int8'"),
        ({"rows": "a"}, "rows: expected a range such as 0:12"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AsamDatasetsError) as raised:
        EvaluateOptions(**options)
    assert said in str(raised.value)


def test_bad_models(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert/config.json").write_text('{"model_type": "bert"}')
    for name, said in (("bert", "expected a SAM, found a model of type 'bert'"), ("nowhere", "expected a SAM that")):
        with pytest.raises(ModelError, match="expected") as raised:
            evaluate(sets, out=tmp_path / "r.json", options=EvaluateOptions(model=str(tmp_path / name)))
        assert said in str(raised.value)
    with pytest.raises(TargetError, match=r"expected a name that ends with \.json"):
        evaluate(sets, out=tmp_path / "r.txt")
    assert not list(tmp_path.glob("r.*"))


def test_two_at_once_are_one_too_many(sets: Path, sam: Path, tmp_path: Path) -> None:
    from asam_datasets.machine import only_writer

    with only_writer(tmp_path / "results.jsonl"), pytest.raises(TargetError, match="expected to be the only writer"):
        evaluate(sets, out=tmp_path / "results.json", options=EvaluateOptions(model=str(sam)))


def test_results_are_typed(unbroken: Path) -> None:
    import msgspec

    again = msgspec.json.decode(unbroken.read_bytes(), type=Evaluation)
    assert msgspec.json.format(msgspec.json.encode(again), indent=2) + b"\n" == unbroken.read_bytes()
