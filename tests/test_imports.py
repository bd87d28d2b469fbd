"""Starting is quick: nothing heavy is loaded before it is needed."""

import subprocess
import sys

import pytest
from conftest import ROOT

HEAVY = ("torch", "transformers", "datasets")
PROBE = "; print(','.join(m for m in {heavy} if m in sys.modules))"


def loaded(code: str) -> str:
    """Which of the heavy packages a fresh interpreter has loaded after running some code."""
    command = f"import sys; {code}{PROBE.format(heavy=HEAVY)}"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.splitlines()[-1] if done.stdout else ""


@pytest.mark.parametrize(
    "code",
    [
        "import asam_datasets",
        "import asam_datasets.publish",
        "import asam_datasets.builds",
        "import asam_datasets.masks",
        "import asam_datasets.captions",
        "import asam_datasets.organized",
        "import asam_datasets.published",
        "import asam_datasets.preview",
        "from asam_datasets.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n",
        "from asam_datasets.cli import main\ntry: main(['publish', '--help'])\nexcept SystemExit: pass\n",
        "from asam_datasets.cli import main\ntry: main(['caption', '--help'])\nexcept SystemExit: pass\n",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded(f"exec({code!r})") == ""


@pytest.mark.parametrize("missing", ["torch", "simplejpeg"])
def test_training_without_its_packages_names_the_extra(missing: str) -> None:
    command = f"import sys; sys.modules[{missing!r}] = None; import asam_datasets.training"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: expected the packages for training, found no {missing}: "
        "pip install 'asam_datasets[train]'"
    )


def test_the_probe_can_fail() -> None:
    assert loaded("import builders.sa1b") == "datasets"
