"""The types as a user of the installed package sees them: `py.typed` is there, and they are neither wrong nor `Any`."""

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from conftest import ROOT

HERE = Path(__file__).parent
# What the types of torch and transformers say is not asked here, and takes mypy half a minute.
SETTINGS = """
[mypy]
strict = true
[mypy-torch.*,torchdata.*,transformers.*]
follow_imports = skip
ignore_missing_imports = true
"""
MARK = re.compile(r"  # ([a-z-]+)$")
FOUND = re.compile(r"^(?P<file>\w+\.py):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """What `mypy --strict` finds, by file and line; one run for both files.

    This checkout is installed for it, as `pip install -e` does it: mypy heeds `py.typed` in installed packages alone.
    """
    folder = tmp_path_factory.mktemp("user")
    venv.create(folder / "venv", symlinks=True)
    (installed,) = (folder / "venv").glob("lib/python*/site-packages")
    (installed / "user.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    (folder / "mypy.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "mypy", "--config-file", folder / "mypy.ini", "--cache-dir", folder / "cache"]
    command += ["--python-executable", folder / "venv/bin/python", "--no-pretty", "user.py", "wrong.py"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=300, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    errors: dict[str, dict[int, str]] = {"user.py": {}, "wrong.py": {}}
    for line in ran.stdout.splitlines():
        if ": note: " not in line and not line.startswith("Found "):
            match = FOUND.match(line)
            assert match, ran.stdout
            errors[match["file"]][int(match["line"])] = match["code"]
    return errors


def test_a_typed_program_passes(found: dict[str, dict[int, str]]) -> None:
    assert found["user.py"] == {}


def test_mistakes_are_found(found: dict[str, dict[int, str]]) -> None:
    lines = enumerate((HERE / "wrong.py").read_text().splitlines(), 1)
    assert found["wrong.py"] == {number: match[1] for number, line in lines if (match := MARK.search(line))}
