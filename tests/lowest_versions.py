"""What users do, each step as a process of the interpreter that runs this: does it hold with the installed versions?

    pip install -c constraints-lowest.txt -e '.[evaluation]' 'starlette>=0.40' 'uvicorn>=0.30'
    python tests/lowest_versions.py

Draws an archive, publishes it into a folder and onto a local Hub, loads it by the `datasets` of this environment in map
and streaming mode, verifies, previews, exports and organises. Needs no pytest. Exit code 1 when a step fails.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/support")]

from local_hub import LocalHub  # noqa: E402

NAMES = (
    "datasets",
    "huggingface_hub",
    "fsspec",
    "numpy",
    "pyarrow",
    "Pillow",
    "msgspec",
    "rlemasklib",
    "typer",
    "click",
)
IMAGES = 12
LOAD = f"""
import sys
from datasets import load_dataset
for config in ("train", "controlnet", "sam"):
    for streaming in (False, True):
        rows = list(load_dataset(sys.argv[1], config, split="train", streaming=streaming))
        assert len(rows) == {IMAGES}, (config, streaming, len(rows))
        for row in rows:
            assert row["image"].size[0] > 1 and row["caption"]
            assert all(mask.size == row["image"].size for mask in row.get("masks", ()))
"""
BUILDER = f"""
from builders.sa1b import SA1B
builder = SA1B(config_name="train", data_dir="demo", cache_dir="cache")
builder.download_and_prepare()
assert len(builder.as_dataset(split="train")) == {IMAGES}
"""
CLI = ("-m", "asam_datasets")
PUBLISH = (
    *("-m", "asam_datasets.publish", "--train", "demo/sa_000000.tar"),
    *("--captions", "demo/sa_000000-blip2-caption.json", "--workers", "2"),
)
VERBS = ("publish", "verify", "catalog", "demo", "caption", "merge", "organize", "export", "preview")


def steps(dataset: str, made: str) -> dict[str, tuple[str, ...]]:
    """What is done with a published dataset; `made` begins the names of what that writes."""
    return {
        "load, map and streaming": ("-c", LOAD, dataset),
        "verify --deep": (*CLI, "verify", dataset.removeprefix("./"), "--deep"),
        "preview": (*CLI, "preview", dataset, "--rows", "0:4", "--out", f"{made}.png"),
        "export": (*CLI, "export", dataset, "--out", f"{made}-folder"),
    }


def run(name: str, args: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> bool:
    """Run one step in a folder; whether it succeeded."""
    done = subprocess.run(
        [sys.executable, *args], cwd=folder, env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    print(f"{'ok' if done.returncode == 0 else 'FAILED':<8}{name}", flush=True)
    if done.returncode:
        print(f"{done.stdout[-2000:]}{done.stderr[-3000:]}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run all steps; how many failed."""
    print(f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version(name)}" for name in NAMES))
    with tempfile.TemporaryDirectory() as name, LocalHub(Path(name) / "hub") as hub:
        folder = Path(name)
        env = {**os.environ, "HF_HOME": str(folder / "home")}
        good = [run(f"{verb} --help", (*CLI, verb, "--help"), folder, env) for verb in VERBS]
        good.append(run("demo", (*CLI, "demo", "demo", "--images", str(IMAGES)), folder, env))
        good.append(run("publish into a folder", (*PUBLISH, "--out", "dataset"), folder, env))
        good += [run(each, args, folder, env) for each, args in steps("./dataset", "of-folder").items()]
        again = ("-m", "asam_datasets.publish", "--train", "of-folder-folder", "--out", "again")
        good.append(run("publish what was exported", again, folder, env))
        organize = (*CLI, "organize", "demo/sa_000000.tar", "--out", "organised")
        good.append(run("organize", organize, folder, env))
        good.append(run("the builder", ("-c", BUILDER), folder, env))
        for kind, xet in (("xet", True), ("lfs", False)):
            env = hub.environment(folder / kind, xet=xet)
            repository = f"xhk/{kind}"
            good.append(run(f"publish by {kind}", (*PUBLISH, "--repo-id", repository), folder, env))
            good += [run(f"{each}, {kind}", args, folder, env) for each, args in steps(repository, kind).items()]
    return good.count(False)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
