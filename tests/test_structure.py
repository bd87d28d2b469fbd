"""The shape of the package: which way imports go, how long modules get, what is public, what is documented."""

import ast
import importlib
import pkgutil
import re
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
    "rights",
    "_cache",
    "_machine",
    "_progress",
    "masks",
    "sources",
    "schema",
    "tables",
    "adversarial",
    "evaluation",
    "builds",
    "reading",
    "captions",
    "hub",
    "parts",
    "publishing",
    "publish",
    "verification",
    "organized",
    "preview",
    "training",
    "demo",
    "_terminal",
    "commands",
    "cli",
    "__main__",
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(name: str) -> int:
    return LAYERS.index(name.split(".")[1])


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    body = ast.parse(path.read_text()).body
    for node in body:  # what `publish` imports when it is run as a program is below `if __name__ == "__main__"`
        for inner in ast.walk(node) if not isinstance(node, ast.If) else ():
            if isinstance(inner, ast.ImportFrom) and inner.module and inner.module.startswith("asam_datasets."):
                assert layer_of(inner.module) <= layer_of(own), f"{own} imports {inner.module}"


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
        "caption", "catalog", "demo", "export", "merge", "organize", "preview", "publish", "verify",
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
