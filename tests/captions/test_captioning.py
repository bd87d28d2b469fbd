"""Captioning by real models of transformers, tiny and with random weights, through the real command line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import start_warm
from conftest import ROOT, Ran, clean_environment, run_python
from tiny_models import MAKERS

from asam_datasets.demo import DemoArchive, write_demo

IMPORTS = (
    *("torch", "torch._dynamo", "transformers.modeling_utils", "transformers.generation", "asam_datasets.cli"),
    *("transformers.models.blip.modeling_blip", "transformers.models.blip_2.modeling_blip_2"),
    *("transformers.models.git.modeling_git", "transformers.models.opt.modeling_opt"),
    "transformers.models.vision_encoder_decoder.modeling_vision_encoder_decoder",
)
# Slower than the test that watches it, however busy the machine is.
NICE_MAIN = "import os; os.nice(10); from asam_datasets.cli import main; main()"

pytest.importorskip("transformers", reason="pip install asam_datasets[caption]")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each family on disk, made in a process of its own: transformers warns a lot when it loads."""
    folder = tmp_path_factory.mktemp("models")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests/support")}
    code = "import sys, pathlib, tiny_models; [m(pathlib.Path(sys.argv[1], n)) for n, m in tiny_models.MAKERS.items()]"
    subprocess.run([sys.executable, "-c", code, str(folder)], env=environment, check=True, capture_output=True)
    return {name: folder / name for name in MAKERS}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of forty images, ids 80 to 119, so that names do not sort like numbers."""
    return write_demo(tmp_path_factory.mktemp("demo"), images=40, height=192, width=192, first_id=80).archive


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without any token, cache or Hub: what is not on disk cannot be loaded."""
    home = tmp_path_factory.mktemp("home")
    # One thread: for models this small, more of them only wait for each other.
    return clean_environment(home, PYTHONPATH=str(ROOT), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "asam_datasets", *map(str, arguments)]


def run(environment: dict[str, str], *arguments: object) -> Ran:
    return run_python("-m", "asam_datasets", *map(str, arguments), env=environment, imports=IMPORTS)


def read(path: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["img"]: line["prompt"] for line in lines}


@pytest.mark.parametrize("name", MAKERS)
def test_every_family_with_and_without_a_prompt(
    name: str, models: dict[str, Path], demo: DemoArchive, environment: dict[str, str], tmp_path: Path
) -> None:
    found = {}
    for prompt, size in (("", 5), ("a photo of", 5), ("", 12))[: 3 if name == "blip-2" else 2]:
        out = tmp_path / f"{prompt}{size}.json"
        ran = run(
            environment, "caption", demo.archive, "--out", out, "--model", models[name], "--prompt", prompt,
            "--batch-size", size, "--max-new-tokens", 8, "--json",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["images"] == 12
        found[prompt, size] = read(out)
        assert list(found[prompt, size]) == [f"sa_{n}.jpg" for n in range(1, 13)]
        assert all(len(text.split()) <= 8 for text in found[prompt, size].values())
    assert found["", 5] == found.get(("", 12), found["", 5]), "captions do not depend on the batch"
    assert found["", 5] != found["a photo of", 5], "the prompt reaches the model"
    assert len(set(found["", 5].values())) > 3, "the image reaches the model"
    assert not any(text.startswith("a photo of") for text in found["a photo of", 5].values())


def test_what_the_header_and_the_terminal_say(
    models: dict[str, Path], demo: DemoArchive, environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "captions.json"
    arguments = ("caption", demo.archive, "--out", out, "--model", models["blip-2"], "--max-new-tokens", 5)
    ran = run(environment, *arguments, "--num-beams", 2, "--seed", 3)
    assert ran.code == 0, ran.err
    assert "images/s" in ran.err
    assert "12/12" in ran.err
    header = json.loads((tmp_path / "captions.header.json").read_text())
    generation = {
        "max_new_tokens": 5, "num_beams": 2, "repetition_penalty": 1.0, "length_penalty": 1.0, "temperature": 0.0,
        "seed": 3,
    }  # fmt: skip
    assert header["settings"]["generation"] == generation
    assert header["settings"]["dtype"] == "float32"
    assert set(header["software"]) == {"torch", "transformers"}
    other = run(environment, *arguments)
    assert other.code == 1
    assert "num_beams 2 there, 1 here; seed 3 there, 0 here" in other.err
    assert "hint: " in other.err


def test_words_that_are_drawn_follow_the_seed(
    models: dict[str, Path], demo: DemoArchive, environment: dict[str, str], tmp_path: Path
) -> None:
    settings = ("--model", models["blip-2"], "--max-new-tokens", 5, "--temperature", 1.5, "--dtype", "bfloat16")
    drawn = [
        run(environment, "caption", demo.archive, "--out", tmp_path / f"{n}.json", *settings, "--seed", seed)
        for n, seed in enumerate((1, 1, 2))
    ]
    assert [ran.code for ran in drawn] == [0, 0, 0]
    first, again, another = (read(tmp_path / f"{n}.json") for n in range(3))
    assert first == again
    assert first != another


def test_killed_at_five_random_moments(
    models: dict[str, Path], archive: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    settings = ("--model", models["blip-2"], "--batch-size", 2, "--max-new-tokens", 60)
    undisturbed, out = tmp_path / "undisturbed.json", tmp_path / "captions.json"
    ran = run(environment, "caption", archive, "--out", undisturbed, *settings)
    assert ran.code == 0, ran.err

    seed = random.randrange(10**6)
    print("seed", seed)  # shown when the test fails
    rng = random.Random(seed)
    moments = sorted(rng.sample(range(1, 31), 5))
    partial = tmp_path / "captions.partial"
    for moment in moments:
        with open(os.devnull, "r+") as nothing:
            arguments = ["caption", str(archive), "--out", str(out), *map(str, settings)]
            program = ["-c", NICE_MAIN, *arguments]
            process = start_warm(program, environment, ROOT, [nothing.fileno()] * 3, imports=IMPORTS)
        assert process
        for lines in watched(partial):
            if lines >= moment or process.is_done():
                time.sleep(rng.random() * 0.05)
                break
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
        assert not out.exists()
    with open(partial, "ab") as file:
        file.write(b'{"img":"sa_11')
    ran = run(environment, "caption", archive, "--out", out, *settings, "--json")
    assert ran.code == 0, ran.err
    assert out.read_bytes() == undisturbed.read_bytes()
    assert json.loads(ran.out)["new"] <= 40 - moments[-1]
    assert not partial.exists()


def watched(path: Path) -> Iterator[int]:
    """How many lines a growing file has, again and again for five minutes."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        yield path.read_bytes().count(b"\n") if path.exists() else 0
        time.sleep(0.002)
    pytest.fail("nothing was captioned in five minutes")


def test_processes_share_an_archive(
    models: dict[str, Path], demo: DemoArchive, environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "captions.json"
    settings = ("--out", out, "--model", models["blip-2"], "--max-new-tokens", 8)
    running = [
        subprocess.Popen(command("caption", demo.archive, *settings, "--shard", f"{n}/2"), env=environment, cwd=ROOT)
        for n in (1, 2)
    ]
    assert [process.wait() for process in running] == [0, 0]
    shards = sorted(tmp_path.glob("captions.shard-*-of-2.json"))
    assert len(shards) == 2
    assert run(environment, "merge", *shards, "--out", out).code == 0
    alone = run(environment, "caption", demo.archive, "--out", tmp_path / "alone.json", *settings[2:])
    assert alone.code == 0
    assert out.read_bytes() == (tmp_path / "alone.json").read_bytes()


WRONG = {
    "no model": (["--model", "{tmp}/none"], "expected a checkpoint that transformers can load"),
    "another type": (["--model", "{tmp}/bert"], "blip, blip-2, git, vision-encoder-decoder, found 'bert'"),
    "no such device": (["--device", "cuda:7"], "--device: expected a device that is there, found 'cuda:7'"),
    "no such dtype": (["--dtype", "int4"], "--dtype: expected one of auto, float32, bfloat16, float16, found 'int4'"),
    "no such shard": (["--shard", "9/8"], "expected --shard from 1/n to n/n, found 9/8"),
    "shard in words": (["--shard", "three"], "expected --shard as 3/8, found 'three'"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_done_is_said(
    arguments: list[str], said: str, models: dict[str, Path], demo: DemoArchive, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    ran = run(environment, "caption", demo.archive, "--out", tmp_path / "c.json", "--model", models["blip-2"], *filled)
    assert ran.code == 1
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "hint: " in ran.err
    assert not list(tmp_path.glob("c.*"))
