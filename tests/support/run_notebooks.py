"""Run a notebook and put its outputs in: `python tests/support/run_notebooks.py examples/tour.ipynb`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

KEPT = ("text/plain", "image/png")


def run_notebook(path: Path, folder: Path) -> Any:
    """Execute a notebook in a folder.

    Returns:
        The notebook with its outputs, of which nothing is left that tells when and where it was run.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        # stderr tells of what is installed beside it, and where.
        outputs = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
        if "outputs" in cell:
            cell["outputs"] = outputs
        for output in outputs:
            # Pillow offers a JPEG too, and IPython keeps all that it is offered.
            if "data" in output:
                output["data"] = {kind: output["data"][kind] for kind in KEPT if kind in output["data"]}
                if "image/png" in output["data"]:
                    output["data"]["text/plain"] = "<an image>"  # Pillow's words have an address
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def main() -> None:
    import tempfile

    import nbformat

    path = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(run_notebook(path, Path(folder)), path)


if __name__ == "__main__":
    main()
