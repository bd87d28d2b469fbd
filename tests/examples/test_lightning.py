"""The DataModule for Lightning: epochs and places are those of the streams, whatever Lightning fetches ahead."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest
from conftest import ROOT, Run

from asam_datasets.demo import DemoArchive

torch = pytest.importorskip("torch", reason="pip install asam_datasets[train]")
pytest.importorskip("transformers", reason="pip install asam_datasets[caption]")
if not any(importlib.util.find_spec(name) for name in ("lightning", "pytorch_lightning")):
    pytest.skip("pip install lightning, or pytorch-lightning", allow_module_level=True)

from asam_datasets.training import Choose, SamOptions  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Lightning's advice: more workers, a logger, a larger batch
    pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"),
]
OPTIONS = SamOptions(size=32, choose=Choose(2), targets=("low_res_masks",), low_res=8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For a model this small, more of them only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def dataset(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "dataset"
    assert publish("--train", demo.archive, "--out", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The example as a module; what it imports lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        yield importlib.import_module("lightning_datamodule")


def fit(example: ModuleType, data: Any, steps: int, folder: Path, resume: bool = False) -> dict[int, list[int]]:
    """The images of each epoch that a Trainer trained on, up to a step; it leaves a checkpoint."""
    seen: dict[int, list[int]] = {}

    class Watching(example.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def training_step(self, batch: dict[str, Any], batch_idx: int) -> Any:
            is_last = self.trainer.fit_loop._data_fetcher.done  # and then the next epoch is the one that is chosen
            seen.setdefault(data.epoch - is_last, []).extend(batch["image_id"])
            return self.weight * batch["low_res_masks"].float().mean()

        def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
            seen.setdefault(-data.epoch, []).extend(batch["image_id"])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = example.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(Watching(), data, ckpt_path=folder / "one.ckpt" if resume else None, weights_only=True)
    trainer.save_checkpoint(folder / "one.ckpt", weights_only=False)
    return seen


@pytest.mark.parametrize("kind", ["stream", "rows", "mixture"])
def test_a_stopped_run_goes_on_with_the_next_image(
    kind: str, example: ModuleType, dataset: Path, tmp_path: Path
) -> None:
    def data() -> Any:
        more: dict[str, Any] = {"mixture": {"train": 0.5}} if kind == "mixture" else {}
        if kind == "rows":
            rows = datasets.load_dataset(str(dataset), "sam", split="train", cache_dir=str(tmp_path / "cache"))
            more = {"rows": rows.cast_column("image", datasets.Image(decode=False))}
        return example.SamData(dataset, options=OPTIONS, hold_out=2, **more)

    unbroken = fit(example, data(), 6, tmp_path)
    assert unbroken[-1] == [1, 2], "validated when the epoch ends"
    if kind != "mixture":
        assert [sorted(unbroken[number]) for number in (0, 1)] == [list(range(3, 13))] * 2
        assert unbroken[0] != unbroken[1]
    first = fit(example, data(), 2, tmp_path)
    rest = fit(example, data(), 6, tmp_path, resume=True)
    assert first[0] + rest[0] == unbroken[0]
    assert rest.get(1) == unbroken.get(1)


def test_other_workers_take_up_what_is_left(example: ModuleType, dataset: Path, tmp_path: Path) -> None:
    first = fit(example, example.SamData(dataset, options=OPTIONS), 2, tmp_path)
    rest = fit(example, example.SamData(dataset, options=OPTIONS, workers=2), 5, tmp_path, resume=True)
    assert sorted(first[0] + rest[0]) == list(range(1, 13))
    assert set(rest[1]) <= set(range(1, 13))


def test_the_example_tunes_and_goes_on(
    example: ModuleType,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for more, said in ((["--steps", "2"], "2 steps, epoch 0"), (["--steps", "4", "--resume"], "4 steps, epoch 1")):
        monkeypatch.setattr(sys, "argv", ["lightning_datamodule.py", "--dataset", str(dataset), *more])
        example.main()
        assert capsys.readouterr().out.splitlines()[-1] == f"saved tuned-lightning/lightning.ckpt: {said}"
