"""The examples, run as anybody would; what samples are to the models and scripts that take them."""

from __future__ import annotations

import importlib.util
import io
import json
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, TORCH, Ran, Run, clean_environment, run_python
from drawn_sets import HRSOD, draw_hrsod
from PIL import Image

from asam_datasets.demo import DemoArchive, write_demo

torch = pytest.importorskip("torch", reason="pip install asam_datasets[train]")
pytest.importorskip("transformers", reason="pip install asam_datasets[caption]")

from asam_datasets.cli import main  # noqa: E402
from asam_datasets.training import Choose, ControlNetOptions, SamOptions, controlnet_batch, open_stream, sam_batch  # noqa: E402

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
TUNE = ROOT / "examples/tune_sam.py"
# torchdata 0.11 calls it, torch 2.13 says that it does nothing any more.
TORCHDATA = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For a model this small, more of them only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def dataset(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("published")
    draw_hrsod(base / "hrsod")
    folder = base / "dataset"
    given = ["--train", demo.archive, "--captions", demo.captions, "--evaluation", f"hrsod_te={base / 'hrsod'}"]
    ran = publish(*given, "--out", folder)
    assert ran.code == 0, ran.err
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    # One thread: for a model this small, more of them only wait for each other.
    return clean_environment(home, PYTHONPATH=str(ROOT), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def tune_sam() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("tune_sam", TUNE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tune_sam"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def python(environment: dict[str, str], cwd: Path, *arguments: object) -> Ran:
    return run_python(*map(str, arguments), env=environment, cwd=cwd, imports=TORCH)


def losses(lines: Sequence[str]) -> list[float]:
    return [float(line.split()[-1]) for line in lines]


def options(dataset: Path, workers: int) -> list[object]:
    # without workers prompts are drawn, so that the state of the generator counts
    prompt = "box" if workers else "random"
    return [TUNE, "--dataset", dataset, "--workers", workers, "--prompt", prompt]


@pytest.fixture(scope="module", params=[0, 2], ids=["no workers", "two workers"])
def unbroken(
    request: pytest.FixtureRequest, dataset: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path, list[str]]:
    """Number of workers, folder and lines of 20 steps in one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    ran = python(environment, folder, *options(dataset, request.param))
    assert ran.code == 0, ran.err
    return request.param, folder / "tuned-sam", ran.out.splitlines()


def test_twenty_steps_and_the_loss_falls(unbroken: tuple[int, Path, list[str]]) -> None:
    workers, folder, lines = unbroken
    # 12 images, 4 in a batch: three steps an epoch, and four where two workers cut 6 images each into 4 and 2
    epoch = 4 if workers else 3
    assert [line.split()[:4] for line in lines] == [
        ["step", str(step + 1), "epoch", str(step // epoch)] for step in range(20)
    ]
    values = losses(lines)
    assert np.mean(values[-5:]) < 0.97 * np.mean(values[:5])
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert checkpoint["step"] == 20
    assert sorted(checkpoint["tokens"]) == ["mask_decoder.iou_token.weight", "mask_decoder.mask_tokens.weight"]


def test_stopped_and_taken_up_it_is_the_same_run(
    unbroken: tuple[int, Path, list[str]], dataset: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    workers, folder, lines = unbroken
    given = options(dataset, workers)
    first = python(environment, tmp_path, *given, "--steps", 10)
    rest = python(environment, tmp_path, *given, "--resume")
    assert (first.code, rest.code) == (0, 0), first.err + rest.err
    assert first.out.splitlines() == lines[:10]
    assert rest.out.splitlines() == lines[10:], "the losses of steps 11 to 20, to the last bit"
    one, other = (torch.load(at / "checkpoint.pt", weights_only=True) for at in (folder, tmp_path / "tuned-sam"))
    assert all(torch.equal(one["tokens"][name], other["tokens"][name]) for name in one["tokens"])


def test_two_processes_learn_the_same(dataset: Path, environment: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "program.py"  # the example, which also keeps the tokens of each rank
    program.write_text(
        f"import sys, torch\nsys.path.insert(0, {str(TUNE.parent)!r})\nimport tune_sam\nsave = tune_sam.save\n"
        "def save_and_keep(run, step, epoch):\n"
        "    save(run, step, epoch)\n"
        "    torch.save({name: token.detach() for name, token in run.tokens.items()}, f'rank-{run.rank}.pt')\n"
        "tune_sam.save = save_and_keep\ntune_sam.main()\n"
    )
    ran = python(
        environment, tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, program,
        "--dataset", dataset, "--batch-size", 2, "--steps", 5, "--workers", 1, "--prompt", "random", "--augment",
        "--hold-out", 2,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    *steps, validation = ran.out.splitlines()
    assert [line.split()[:4] for line in steps] == [
        ["step", str(step + 1), "epoch", str(step // 3)] for step in range(5)
    ]
    assert validation.startswith("step 5  validation hold-out  images 2  mIoU 0.")
    one, other = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    saved = torch.load(tmp_path / "tuned-sam/checkpoint.pt", weights_only=True)
    assert all(torch.equal(one[name], saved["tokens"][name]) for name in one)
    assert len({rank["stream"] for rank in saved["ranks"]}) == 2


@pytest.fixture(scope="module")
def checkpoint(tune_sam: ModuleType, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that two steps leave."""
    folder = tmp_path_factory.mktemp("two steps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tune_sam.py", "--dataset", str(dataset), "--out", str(folder), "--steps", "2"])
        tune_sam.main()
    return folder


@TORCHDATA
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "nowhere", "--out", "new"], "expected a dataset made by asam_datasets"),
        (["--resume", "--out", "none"], "none/checkpoint.pt: expected a checkpoint, found none"),
        ([], "tuned-sam: expected no checkpoint, found one"),
        (["--resume", "--batch-size", "3"], "expected batch-size 4, found 3"),
        (["--resume", "--prompt", "points"], "expected prompt 'box', found 'points'"),
        (["--resume", "--mixture", "sam=0.5"], "expected mixture [], found ['sam=0.5']"),
        (["--mixture", "adversarial=0.5", "--out", "new"], "expected one of the configs train, controlnet, sam"),
        (["--resume", "--hold-out", "2"], "expected hold-out 0, found 2"),
        (["--hold-out", "12", "--out", "new"], "--hold-out: expected more than 12 images, found 12"),
        (["--validate", "nowhere", "--out", "new"], "expected one of the configs train, controlnet, sam, hrsod_te"),
        (["--resume", "--steps", "2"], "expected steps to do, found --steps 2"),
        (["--resume", "--dataset", "other"], "expected its own dataset, found another in other"),
        (["--tensorboard", "logs", "--out", "new"], "--tensorboard: expected the package tensorboard, found none"),
        (["--model", "nowhere", "--out", "new"], "--model: expected a model on the Hub or a folder"),
        (["--model", "bert", "--out", "new"], "--model bert: expected a SAM, found a model of type bert"),
    ],
)
def test_bad_usage_is_one_sentence(
    options: list[str],
    said: str,
    checkpoint: Path,
    dataset: Path,
    publish: Run,
    tune_sam: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint, "tuned-sam")
    if "other" in options:
        archive = write_demo(Path("archive"), images=2, height=192, width=192, first_id=50).archive
        assert publish("--train", archive.resolve(), "--out", tmp_path / "other").code == 0
    if "bert" in options:
        Path("bert").mkdir()
        Path("bert/config.json").write_text('{"model_type": "bert"}')
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # where it is installed, too
    monkeypatch.setattr(sys, "argv", ["tune_sam.py", "--dataset", str(dataset), *options])
    with pytest.raises(SystemExit) as stopped:
        tune_sam.main()
    assert said in str(stopped.value)
    assert len(str(stopped.value).splitlines()) == 2, "a sentence and a hint"
    assert not Path("new").exists()


@TORCHDATA
def test_other_workers_take_up_what_is_left(
    checkpoint: Path,
    dataset: Path,
    tune_sam: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two steps of four images each are done of an epoch of twelve; two workers share the other four images."""
    shutil.copytree(checkpoint, tmp_path / "tuned")
    seen: list[int] = []
    make = tune_sam.batch_losses

    def watched(model: Any, sam: Any, batch: dict[str, Any], prompt: str) -> Any:
        seen.extend(batch["image_id"])
        return make(model, sam, batch, prompt)

    monkeypatch.setattr(tune_sam, "batch_losses", watched)
    given = ["tune_sam.py", "--dataset", str(dataset), "--out", str(tmp_path / "tuned")]
    monkeypatch.setattr(sys, "argv", [*given, "--resume", "--workers", "2", "--steps", "4"])
    tune_sam.main()
    out, err = capsys.readouterr()
    assert [line.split()[:4] for line in out.splitlines()] == [["step", str(step), "epoch", "0"] for step in (3, 4)]
    said = f'model.load_state_dict(torch.load("{tmp_path}/tuned/checkpoint.pt")["tokens"], strict=False)'
    assert said in err
    rest = seen.copy()
    monkeypatch.setattr(sys, "argv", [*given[:3], "--out", str(tmp_path / "new"), "--steps", "2"])
    tune_sam.main()
    assert sorted(seen) == list(range(1, 13))
    assert len(rest) == 4


@TORCHDATA
def test_originals_and_adversarial_samples_in_one_batch(
    demo: DemoArchive,
    members: dict[str, bytes],
    publish: Run,
    tune_sam: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("adv", "record", "pair"):
        (tmp_path / "samples" / name).mkdir(parents=True)
    Image.open(io.BytesIO(members["sa_3.jpg"])).resize((64, 64)).save(tmp_path / "samples/adv/sa_3.png")
    (tmp_path / "samples/record/sa_3.txt").write_text("0.5\n")
    out = tmp_path / "dataset"
    assert publish("--train", demo.archive, "--adversarial", tmp_path / "samples", "--out", out).code == 0
    streams: list[int] = []
    make = tune_sam.batch_losses

    def watched(model: Any, sam: Any, batch: dict[str, Any], prompt: str) -> Any:
        streams.extend(batch["stream"].tolist())
        return make(model, sam, batch, prompt)

    monkeypatch.setattr(tune_sam, "batch_losses", watched)
    given = ["tune_sam.py", "--dataset", str(out), "--out", str(tmp_path / "tuned"), "--mixture", "adversarial=0.25"]
    monkeypatch.setattr(sys, "argv", [*given, "--steps", "2"])
    tune_sam.main()
    monkeypatch.setattr(sys, "argv", [*given, "--steps", "5", "--resume"])
    tune_sam.main()
    assert streams[:16] in ([0, 0, 1, 0] * 4, [0, 1, 0, 0] * 4)
    assert streams.count(0) >= 12


@TORCHDATA
def test_what_is_held_out_and_what_the_dataset_has_is_validated(
    dataset: Path,
    tune_sam: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[int] = []
    make = tune_sam.batch_losses

    def watched(model: Any, sam: Any, batch: dict[str, Any], prompt: str) -> Any:
        seen.extend(batch["image_id"])
        return make(model, sam, batch, prompt)

    def tune(out: str, *more: str) -> tuple[list[str], str]:
        given = ["--dataset", str(dataset), "--out", str(tmp_path / out), "--prompt", "random", "--hold-out", "2"]
        monkeypatch.setattr(sys, "argv", ["tune_sam.py", *given, *more])
        tune_sam.main()
        said, told = capsys.readouterr()
        return said.splitlines(), told

    measure = tune_sam.evaluate

    def drawing(*arguments: Any, **more: Any) -> Any:
        torch.rand(2)  # as loading a model that lacks a tensor does
        return measure(*arguments, **more)

    monkeypatch.setattr(tune_sam, "batch_losses", watched)
    monkeypatch.setattr(tune_sam, "evaluate", drawing)
    lines, told = tune("tuned", "--steps", "6", "--validate-every", "3", "--validate", "hrsod_te")
    assert [line.split()[:4] for line in lines] == [
        *(["step", str(step), "epoch", "0"] for step in (1, 2, 3)),
        *(["step", "3", "validation", name] for name in ("hrsod_te", "hold-out")),
        *(["step", str(step), "epoch", "1"] for step in (4, 5, 6)),
        *(["step", "6", "validation", name] for name in ("hrsod_te", "hold-out")),
    ]
    assert set(seen) == set(range(3, 13))
    found = {
        name: json.loads((tmp_path / f"tuned/validation/step-6-{name}.json").read_text())
        for name in ("sets", "hold-out")
    }
    assert [found[name]["sets"][0]["images"] for name in ("sets", "hold-out")] == [len(HRSOD), 2]
    assert f"mIoU {found['hold-out']['sets'][0]['miou']:.9g}" in lines[-1]
    monkeypatch.setattr(sys, "argv", shlex.split(told.splitlines()[-1]))
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    again = json.loads((tmp_path / "tuned/results.json").read_text())
    assert again["sets"] == found["sets"]["sets"], "the line that it ends with gives the same numbers"
    # Without validation in between, and with a stop instead of it.
    tune("other", "--steps", "3")
    losses_only = [line for line in lines if "validation" not in line]
    assert tune("other", "--steps", "6", "--resume")[0][:3] == losses_only[3:]


@pytest.mark.parametrize("missing", ["torch", "torchdata.stateful_dataloader", "transformers"])
def test_without_its_packages_it_is_one_sentence(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TUNE), run_name="__main__")
    name = missing.partition(".")[0]
    hint = "  pip install 'asam_datasets[train]' transformers"
    assert str(stopped.value).splitlines() == [f"expected the packages to tune SAM, found no {name}", hint]


def test_usage_that_argparse_knows(
    tune_sam: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tune_sam.py", "--masks", "0"])
    with pytest.raises(SystemExit) as stopped:
        tune_sam.main()
    assert stopped.value.code == 2
    assert "--masks: expected 1 or more, found 0" in capsys.readouterr().err
    for option, wrong, said in (
        ("--mixture", "adversarial", "--mixture: expected CONFIG=SHARE such as adversarial=0.5, found adversarial"),
        ("--mixture", "adversarial=1", "--mixture: expected shares above 0 that leave something for the originals"),
        ("--validate-every", "3", "--validate-every: expected --validate or --hold-out, found neither"),
    ):
        monkeypatch.setattr(sys, "argv", ["tune_sam.py", option, wrong])
        with pytest.raises(SystemExit):
            tune_sam.main()
        assert said in capsys.readouterr().err


def test_a_bad_image_in_a_worker_is_one_sentence(dataset: Path, environment: dict[str, str], tmp_path: Path) -> None:
    broken = shutil.copytree(dataset, tmp_path / "broken")
    (part,) = broken.glob("data/train/*/part-000.parquet")
    content = bytearray(part.read_bytes())
    start = content.index(b"\xff\xd8\xff")
    content[start : start + 500] = bytes(500)
    part.write_bytes(content)
    ran = python(environment, tmp_path, TUNE, "--dataset", broken, "--workers", 1)
    assert ran.code == 1
    said = ran.err.strip().splitlines()[-2]
    assert said.startswith("1: image: expected an image that can be decoded")
    assert "Traceback" not in ran.err


def test_samples_go_through_sam_and_its_processor(tune_sam: ModuleType, dataset: Path) -> None:
    model = tune_sam.make_model("")
    options = SamOptions(
        size=256, choose=Choose(3), targets=("masks", "low_res_masks"), low_res=64, pixels="float32", points=2
    )
    records = [record for record in open_stream(dataset, "sam", window=0) if len(record["annotations"]) >= 3]
    batch = sam_batch(records[:4], options)
    given = {name: batch[name] for name in ("pixel_values", "input_boxes", "input_points", "input_labels")}
    with torch.no_grad():
        made = model(**given, multimask_output=False)
    assert made.pred_masks.shape == (4, 3, 1, 64, 64)
    assert made.pred_masks[:, :, 0].shape == batch["low_res_masks"].shape
    processor = sam_processor(256)
    sizes = batch["original_sizes"], batch["reshaped_input_sizes"]
    masks = processor.post_process_masks(made.pred_masks, *sizes)
    assert [mask.shape for mask in masks] == [(3, 1, *size) for size in batch["original_sizes"].tolist()]
    # The targets go the same way back, and are then the masks of the images, but for the pixels at their edges.
    back = processor.post_process_masks(batch["low_res_masks"][:, :, None].float() - 0.5, *sizes)
    sharp = processor.post_process_masks(batch["masks"][:, :, None].float() - 0.5, *sizes)
    for one, other, valid in zip(back, sharp, batch["valid"], strict=True):
        assert valid.all()
        assert (one == other).float().mean() > 0.98


@pytest.mark.parametrize(
    ("height", "width", "side", "most", "mean"),
    [(300, 420, 256, 0.02, 1e-3), (200, 150, 256, 0.02, 1e-3), (1500, 2250, 1024, 0.7, 0.01)],
)
def test_pixels_are_those_of_sams_image_processor(height: int, width: int, side: int, most: float, mean: float) -> None:
    """Within a grey level (1 / 57.12 ≈ 0.018); a JPEG that is decoded at half its size differs more at sharp edges."""
    image = Image.fromarray(photo(height, width))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    decoded = Image.open(io.BytesIO(file.getvalue()))
    theirs = sam_processor(side).image_processor(decoded, return_tensors="pt")
    record = {"image": {"bytes": file.getvalue()}, "annotations": [], "image_id": 1}
    ours = sam_batch([record], SamOptions(size=side, choose=Choose(1), pixels="float32"))
    assert ours["pixel_values"].dtype == theirs["pixel_values"].dtype
    assert ours["pixel_values"].shape == theirs["pixel_values"].shape
    for name in ("original_sizes", "reshaped_input_sizes"):
        assert torch.equal(ours[name], torch.as_tensor(theirs[name]))
    apart = (ours["pixel_values"] - theirs["pixel_values"]).abs()
    assert apart.max() <= most
    assert apart.mean() <= mean
    below, right = ours["reshaped_input_sizes"][0].tolist()
    for padding in (np.s_[0, :, below:], np.s_[0, :, :, right:]):
        assert not ours["pixel_values"][padding].any()
        assert not theirs["pixel_values"][padding].any()


def sam_processor(side: int) -> Any:
    """SAM's processor for models of `side` × `side`; that of transformers 5 for Pillow, if there is no torchvision."""
    import transformers

    kind = getattr(transformers, "SamImageProcessorPil", None) or transformers.SamImageProcessor
    return transformers.SamProcessor(kind(size={"longest_edge": side}, pad_size={"height": side, "width": side}))


def photo(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Soft and sharp shapes: uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = [np.sin(7 * x + 3 * y), np.cos(9 * y), np.where((x - 0.4) ** 2 + (y - 0.3) ** 2 < 0.04, 1.0, x * y)]
    return (np.stack(planes, -1) * 100 + 128).clip(0, 255).astype(np.uint8)


def clip_tokenizer(folder: Path) -> Any:
    """A real CLIP tokenizer that knows every byte and no longer piece."""
    from transformers import CLIPTokenizer

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
    )
    return CLIPTokenizer.from_pretrained(folder)


def diffusers_batch(records: Sequence[dict[str, Any]], tokenizer: Any, side: int) -> dict[str, Any]:
    """What `preprocess_train` and `collate_fn` of diffusers' train_controlnet.py make of records, without torchvision:
    `Resize` (of the shorter side) and `CenterCrop` on Pillow images, `ToTensor`, `Normalize([0.5], [0.5])`.
    """

    def pixels(encoded: dict[str, bytes]) -> Any:
        image = Image.open(io.BytesIO(encoded["bytes"])).convert("RGB")
        shorter = min(image.size)
        image = image.resize(tuple(side * length // shorter for length in image.size), Image.Resampling.BILINEAR)
        left, top = round((image.width - side) / 2), round((image.height - side) / 2)
        return torch.tensor(np.array(image)[top : top + side, left : left + side]).permute(2, 0, 1).float() / 255

    captions = [record["caption"] for record in records]
    tokens = tokenizer(
        captions, max_length=tokenizer.model_max_length, padding="max_length", truncation=True, return_tensors="pt"
    )
    return {
        "pixel_values": torch.stack([(pixels(record["image"]) - 0.5) / 0.5 for record in records]),
        "conditioning_pixel_values": torch.stack([pixels(record["conditioning_image"]) for record in records]),
        "input_ids": torch.stack(list(tokens.input_ids)),
    }


def test_controlnet_batches_are_those_of_diffusers(publish: Run, tmp_path: Path) -> None:
    demo = write_demo(tmp_path / "demo", images=4, height=480, width=720)
    assert publish("--train", demo.archive, "--captions", demo.captions, "--out", tmp_path / "dataset").code == 0
    records = list(open_stream(tmp_path / "dataset", "controlnet", window=0))
    tokenizer = clip_tokenizer(tmp_path)
    theirs = diffusers_batch(records, tokenizer, 256)
    ours = partial(controlnet_batch, options=ControlNetOptions(size=256), tokenizer=tokenizer)(records)
    assert list(ours) == list(theirs) == ["pixel_values", "conditioning_pixel_values", "input_ids"]
    for name in theirs:
        assert (ours[name].shape, ours[name].dtype) == (theirs[name].shape, theirs[name].dtype)
        assert ours[name].is_contiguous()
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert ours["input_ids"].shape == (4, 77)
    for name, lowest in (("pixel_values", -1), ("conditioning_pixel_values", 0)):
        assert lowest <= ours[name].min() < lowest + 0.2
        assert 0.8 < ours[name].max() <= 1


def test_controlnet_pixels_are_those_of_diffusers(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(photo(480, 720)).save(file, "PNG")
    record = {"image": {"bytes": file.getvalue()}, "conditioning_image": {"bytes": file.getvalue()}, "caption": "a cat"}
    tokenizer = clip_tokenizer(tmp_path)
    theirs = diffusers_batch([record], tokenizer, 256)
    ours = controlnet_batch([record], ControlNetOptions(size=256), tokenizer)
    for name, level in (("pixel_values", 2 / 255), ("conditioning_pixel_values", 1 / 255)):
        apart = (ours[name] - theirs[name]).abs()[..., 2:-2, 2:-2]  # the script resizes what it then cuts off
        assert apart.max() <= 1.01 * level
