"""Make the environments in which other versions of `datasets` read what was published.

`.venvs/NAME` at the top of the checkout, each with a note of what it was made from; what is up to date is left alone.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".venvs"

# None of the first three has `asam_datasets`. The oldest is what a cluster may have pinned in the middle of 2024.
REQUIREMENTS = {
    "datasets-2.19.2": ["datasets==2.19.2", "huggingface_hub==0.23.4", "numpy<2", "pyarrow<17", "pillow==10.3.0"],
    "datasets-3.6.0": ["datasets==3.6.0", "huggingface_hub==0.33.4", "numpy<2.3", "pyarrow<21", "pillow==11.2.1"],
    "datasets-latest": ["datasets==5.2.0", "huggingface_hub==2.4.0", "pillow==13.0.0"],
    # Loading scripts ran for the last time in 3.6; the script imports `asam_datasets`.
    "scripts-3.6.0": ["datasets==3.6.0", "-e", str(ROOT)],
}


def python(name: str) -> Path:
    """The interpreter of an environment."""
    return FOLDER / name / "bin" / "python"


def make(name: str) -> None:
    """Make an environment, unless it is there and made from the same requirements."""
    requirements = REQUIREMENTS[name]
    note = FOLDER / name / "requirements.txt"
    wanted = "\n".join([sys.version, *requirements])
    if note.is_file() and note.read_text() == wanted:
        return
    print(f"making {FOLDER / name}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER / name)], check=True)
    subprocess.run([str(python(name)), "-m", "pip", "install", "--quiet", *requirements], check=True)
    note.write_text(wanted)


if __name__ == "__main__":
    for each in REQUIREMENTS:
        make(each)
