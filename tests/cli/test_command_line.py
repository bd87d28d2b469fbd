"""How the command line reads its words, and what every verb has in common."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from asam_datasets.cli import app

VERBS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def read(verb: str, words: str) -> dict[str, Any]:
    """The arguments of a verb as it would be called with them."""
    found: dict[str, Any] = VERBS[verb].make_context(verb, words.split()).params
    return found


# words: sources, captions
ORGANIZE = {
    "sa.tar --captions a.json b.json --out X": (["sa.tar"], ["a.json", "b.json"]),
    "sa.tar sb.tar --out X --captions a.json": (["sa.tar", "sb.tar"], ["a.json"]),
    "--captions c.json sa.tar --out X": (["sa.tar"], ["c.json"]),
    "--captions a.json b.json sa.tar sb.tgz --out X": (["sa.tar", "sb.tgz"], ["a.json", "b.json"]),
    "--captions c.json sa.tar.gz sa_000001 --out X": (["sa.tar.gz", "sa_000001"], ["c.json"]),
    "--captions a.json sa.tar --captions b.json --out X": (["sa.tar"], ["a.json", "b.json"]),
    "--captions a.json --captions b.json sa.tar --out X": (["sa.tar"], ["a.json", "b.json"]),
    "--captions c.json https://host/sa.tar?key=1 --out X": (["https://host/sa.tar?key=1"], ["c.json"]),
    "--captions c.json folder --out X": (["folder"], ["c.json"]),
    "--captions a.json b.json --out X sa_000001": (["sa_000001"], ["a.json", "b.json"]),
    "--out X --captions a.json b.json -- sa_000001": (["sa_000001"], ["a.json", "b.json"]),
    "--out X --captions a.json -- sa.tar --captions": (["sa.tar", "--captions"], ["a.json"]),
    "--captions=c.json sa_000001 --out X": (["sa_000001"], ["c.json"]),
    "sa.tar --out X": (["sa.tar"], []),
}


@pytest.mark.parametrize(("words", "found"), ORGANIZE.items(), ids=ORGANIZE)
def test_captions_leave_the_archives_alone(
    words: str, found: tuple[list[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    read_now = read("organize", words)
    assert (list(read_now["sources"]), list(map(str, read_now["captions"] or ()))) == found
    assert str(read_now["out"]) == "X"


MISUSED = {
    "organize --captions a.json sa_000001 --out X": (
        "Missing argument 'SOURCE...': --captions took sa_000001. Give SOURCE... first, or last after `--`."
    ),
    "organize --captions a.json --out X": "Missing argument 'SOURCE...'.",
    "organize sa.tar --captions --out X": "Option '--captions' requires an argument.",
    "organize sa.tar --out X --captions": "Option '--captions' requires an argument.",
    "publish --train --out X": "Option '--train' requires an argument.",
    "publish --train a.tar --workers 0 --out X": "'--workers': expected at least 1, found 0",
    "verify X --workers -2": "'--workers': expected at least 1, found -2",
    "catalog --catalog a.toml show": "expected `list`, `show ID [--toml]` or `new FOLDER [--out FILE]`",
}


@pytest.mark.parametrize(("words", "said"), MISUSED.items(), ids=MISUSED)
def test_what_is_missing_is_said(words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").touch()
    shown = CliRunner().invoke(app, words.split(), prog_name="asam-datasets")
    assert shown.exit_code == 2
    assert said in shown.output
    assert f"Usage: asam-datasets {words.split()[0]}" in shown.output
    assert not (tmp_path / "X").exists()


def test_publish_takes_what_a_shell_makes_of_a_pattern() -> None:
    found = read("publish", "--train a.tar b.tar --captions a.json b.json --out X --train c.tar")
    assert list(found["train"]) == ["a.tar", "b.tar", "c.tar"]
    assert list(map(str, found["captions"])) == ["a.json", "b.json"]
    assert str(found["out"]) == "X"


def test_publish_takes_archives_as_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sa_000001").mkdir()
    found = read("publish", "a.tar --captions a.json b.json b.tar --out X")
    assert (list(found["archives"]), list(map(str, found["captions"]))) == (["a.tar", "b.tar"], ["a.json", "b.json"])
    found = read("publish", "--remove sa_000000 sa_000001 --out X")
    assert (list(found["remove"]), found["archives"]) == (["sa_000000", "sa_000001"], ()), "a folder of that name"


def test_a_catalog_is_followed_by_what_to_do() -> None:
    found = read("catalog", "--catalog a.toml b.toml show mine")
    assert (list(map(str, found["catalog"])), found["what"], found["identity"]) == (
        ["a.toml", "b.toml"],
        "show",
        "mine",
    )


def many() -> list[tuple[str, str, str]]:
    """(verb, option, parameter) of each option that may be given several times."""
    return [
        (verb, one.opts[0], one.name)
        for verb, command in VERBS.items()
        for one in command.params
        if getattr(one, "multiple", False)
    ]


def test_there_are_options_of_many_values() -> None:
    assert {option for _, option, _ in many()} == {
        "--train", "--evaluation", "--catalog", "--captions", "--remove", "--annotations-only",
        "--archives", "--config",
    }  # fmt: skip


@pytest.mark.parametrize(("verb", "option", "name"), many())
def test_every_option_of_many_values_takes_many(verb: str, option: str, name: str) -> None:
    required = {"organize": "sa.tar --out X", "download": "links.txt --out X", "evaluate": "X --out X"}.get(verb, "")
    found = read(verb, f"{required} {option} one two")[name]
    assert list(map(str, found)) == ["one", "two"]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_h_is_help(verb: str) -> None:
    arguments = [verb] if verb else []
    short, long = (CliRunner().invoke(app, [*arguments, flag]) for flag in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_shows_whole_sentences(verb: str) -> None:
    # A program that runs takes two columns less than a terminal of 80 has; this runner takes them all.
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "78"}).output
    (line,) = (line for line in shown.splitlines() if line.split()[:1] == [verb])
    assert line.endswith(".")
    assert not line.endswith("...")


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_only_parses_calls_and_prints(verb: str) -> None:
    (function,) = ast.parse(inspect.getsource(inspect.unwrap(VERBS[verb].callback))).body
    assert isinstance(function, ast.FunctionDef)
    after_docstring = function.body[1]
    assert (function.end_lineno or 0) - after_docstring.lineno < 16
