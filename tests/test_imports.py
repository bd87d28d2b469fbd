"""Starting is quick: nothing heavy is loaded before it is needed."""

import json
import pydoc
import subprocess
import sys
from collections.abc import Sequence

import pytest
from conftest import ROOT

import asam_datasets

HEAVY = ("torch", "transformers", "datasets")
LIGHT = [
    "import asam_datasets",
    "from asam_datasets import show",
    "import asam_datasets.publish",
    "import asam_datasets.builds",
    "import asam_datasets.masks",
    "import asam_datasets.captions",
    "import asam_datasets.organized",
    "import asam_datasets.published",
    "import asam_datasets.preview",
    "import asam_datasets.evaluate",
    "from asam_datasets.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n",
    "from asam_datasets.cli import main\ntry: main(['publish', '--help'])\nexcept SystemExit: pass\n",
    "from asam_datasets.cli import main\ntry: main(['evaluate', '--help'])\nexcept SystemExit: pass\n",
    "from asam_datasets.cli import main\ntry: main(['caption', '--help'])\nexcept SystemExit: pass\n",
]
# What a code loads is found in a fork of a fresh interpreter, and stays there: none profits from the one before it.
PROBE = """
import json, os, sys
for code in json.loads(sys.argv[1]):
    seen, told = os.pipe()
    if not os.fork():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        exec(code)
        os.write(told, json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]).encode())
        os._exit(0)
    os.close(told)
    print(os.read(seen, 1000).decode(), flush=True)
    os.wait()
"""


def loaded(codes: Sequence[str]) -> list[list[str]]:
    """Which of the heavy packages an interpreter that has loaded nothing has loaded after each of some codes."""
    command = [sys.executable, "-c", PROBE, json.dumps(codes), json.dumps(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What each of `LIGHT` loads."""
    return dict(zip(LIGHT, loaded(LIGHT), strict=True))


@pytest.mark.parametrize("code", LIGHT)
def test_nothing_heavy_is_loaded(code: str, found: dict[str, list[str]]) -> None:
    assert found[code] == []


def test_the_package_itself_loads_nothing_and_says_what_is_public() -> None:
    ours = "[name for name in sys.modules if name.startswith(('asam_datasets.', 'PIL', 'numpy'))]"
    code = f"import sys, asam_datasets\nprint({ours})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
    told = pydoc.render_doc(asam_datasets, renderer=pydoc.plaintext)
    assert "\n    show(record: 'Mapping[str, Any]'" in told
    for name in ("publish", "published", "training", "evaluate", "captions", "masks", "preview", "organized", "errors"):
        assert f"`asam_datasets.{name}`" in told
    assert asam_datasets.show is asam_datasets.preview.show  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="module 'asam_datasets' has no attribute 'shown'"):
        _ = asam_datasets.shown  # type: ignore[attr-defined]


@pytest.mark.parametrize("missing", ["torch", "simplejpeg"])
def test_training_without_its_packages_names_the_extra(missing: str) -> None:
    command = f"import sys; sys.modules[{missing!r}] = None; import asam_datasets.training"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: expected the packages for training, found no {missing}: "
        "pip install 'asam_datasets[train]'"
    )


def test_the_probe_can_fail() -> None:
    assert loaded(["import builders.sa1b"]) == [["datasets"]]
