"""The notebook runs, and what it shows is what it was committed with."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import Image

for name in ("torch", "nbclient", "ipykernel"):
    pytest.importorskip(name, reason="pip install asam_datasets[dev]")

from run_notebooks import run_notebook  # noqa: E402

TOUR = ROOT / "examples/tour.ipynb"


def shown(notebook: Any) -> list[str]:
    """The outputs of a notebook in words; of an image its size."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
                found.append(f"{image.mode} {image.size}")
            else:
                found.append("".join(data.get("text/plain", output.get("text", ""))))
    return found


@pytest.mark.filterwarnings("ignore")  # of Jupyter, about itself
def test_the_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    assert TOUR.stat().st_size < 300_000
    committed = json.loads(TOUR.read_text())
    (tmp_path / "work").mkdir()
    said = shown(run_notebook(TOUR, tmp_path / "work"))
    assert said == shown(committed), "python tests/support/run_notebooks.py examples/tour.ipynb"
    assert sum(one.startswith("RGB") for one in said) == 2
