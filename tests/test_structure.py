"""The shape of the package: which way imports go, how long modules get, what is public, what is documented."""

import ast
import importlib
import pkgutil
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import typer.main
from conftest import ROOT
from typer.testing import CliRunner

import asam_datasets
from asam_datasets.cli import app

PACKAGE = ROOT / "asam_datasets"
# Each layer may import those before it, and itself.
LAYERS = (
    "errors",
    "progress",
    "retry",
    "machine",
    "workers",
    "rights",
    "masks",
    "images",
    "models",
    "sources",
    "tables",
    "builds",
    "published",
    "release",
    "info",
    "preview",
    "publish",
    "organized",
    "formats",
    "captions",
    "training",
    "evaluate",
    "download",
    "scale",
    "demo",
    "cli",
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """The modules of ours that a module imports, wherever in it: in functions and below `if` as well."""
    found: set[str] = set()
    names = {dotted(each) for each in modules()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "asam_datasets":
            assert node.level == 0
            found |= {f"{node.module}.{one.name}" for one in node.names if f"{node.module}.{one.name}" in names}
            found |= {node.module} if any(f"{node.module}.{one.name}" not in names for one in node.names) else set()
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names if one.name.split(".")[0] == "asam_datasets"}
    return found


def layer_of(name: str) -> int:
    # What `python -m` runs stands above everything.
    return len(LAYERS) if name.endswith("__main__") else LAYERS.index(name.split(".")[1])


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = dotted(path)
    for name in imports_of(path) - {"asam_datasets"}:
        assert layer_of(name) <= layer_of(own), f"{own} imports {name}"


def test_no_circle() -> None:
    """Between modules and between rooms, at import time or later."""
    graph = {dotted(path): imports_of(path) for path in modules()}
    graph = {name: {one for one in found if one != name} for name, found in graph.items()}
    # A package imports its own modules to show them; what they import of other packages is what counts.
    tuple(TopologicalSorter(graph).static_order())
    rooms: dict[str, set[str]] = {}
    for name, found in graph.items():
        if name.count(".") and not name.endswith("__main__"):
            mine = rooms.setdefault(name.split(".")[1], set())
            mine |= {one.split(".")[1] for one in found if one.count(".")} - {name.split(".")[1]}
    tuple(TopologicalSorter(rooms).static_order())


def test_the_search_for_circles_can_fail() -> None:
    with pytest.raises(CycleError):
        tuple(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


@pytest.mark.parametrize(
    "path", [*modules(), *sorted((ROOT / "builders").glob("*.py"))], ids=lambda path: path.name if path else ""
)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            # A command lists its options in its signature; what counts is what it does.
            assert (node.end_lineno or 0) - node.body[0].lineno < 70, f"{path}: {node.name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "preview/page").iterdir()), ids=lambda path: path.name)
def test_files_of_the_page_are_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 120


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(r"`?(?:asam-datasets|python -m asam_datasets(?:\.\w+)?) [^`\n]*")
# Where a flag stands for itself: how errors spell arguments, and what `asam-datasets catalog` prints.
SPELLED = {"errors.py": {"--on-bad-record"}, "sources/evaluation/_tree.py": {"--protocol"}}


def flags_in(text: str) -> set[str]:
    """Flags of the command line in the strings of a module, those in a whole command left out."""
    strings = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return {flag for string in strings for flag in FLAG.findall(COMMAND.sub("", string))}


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if "cli" not in path.parts],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_flags_are_spelled_by_the_command_line_alone(path: Path) -> None:
    """Below it, messages and docstrings name arguments (`asam_datasets.errors.option`)."""
    assert flags_in(path.read_text()) == SPELLED.get(path.relative_to(PACKAGE).as_posix(), set())


def test_the_search_for_flags_can_fail() -> None:
    assert flags_in('"""Give it by --out."""') == {"--out"}
    assert flags_in('f"use --parts {n}"') == {"--parts"}
    assert flags_in('"`asam-datasets verify DATASET --deep` finds it, a -- b, x--y"') == set()


def test_public_names_are_there_and_documented() -> None:
    for info in pkgutil.walk_packages(asam_datasets.__path__, "asam_datasets."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        assert module.__doc__, info.name
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{info.name}.{name}"
        names = list(getattr(module, "__all__", ()))
        assert names == sorted(names, key=lambda name: (not name.isupper(), name)), info.name


def test_every_command_has_help_and_an_example() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert sorted(commands) == [
        "caption", "catalog", "demo", "download", "evaluate", "export", "fetch", "info", "merge", "organize",
        "preview", "publish", "scale", "verify",
    ]  # fmt: skip
    for name, command in commands.items():
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0
        assert "Example:" in shown.output, name
        assert all(parameter.help for parameter in command.params), name


def test_the_changelog_is_about_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first
    assert first[1] == asam_datasets.__version__
