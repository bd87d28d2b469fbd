"""What a person at a terminal is asked: run in a pseudo-terminal, as a person would."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import ROOT, run_python
from hypothesis import given
from hypothesis import strategies as st
from local_hub import LocalHub

from asam_datasets.cli import main
from asam_datasets.cli._lines import fit, table
from asam_datasets.cli._terminal import Terminal
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import SourceError
from asam_datasets.published._report import Finding

REPO = "xhk/ASAM-Datasets"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("small"), images=2, height=200, width=240)


def at_a_terminal(
    answer: str, *args: object, env: dict[str, str], program: str = "asam_datasets.publish", columns: int = 0
) -> tuple[int, str]:
    """Exit code and all that the terminal showed."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    run = subprocess.Popen(
        [sys.executable, "-m", program, *map(str, args)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "PYTHONPATH": str(ROOT)},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(mine, 4096)
        except OSError:  # the other end was closed: that is how it ends on Linux
            break
        if not piece:
            break
        shown += piece
        if shown.endswith(b"[y/N] "):
            os.write(mine, f"{answer}\n".encode())
    os.close(mine)
    return run.wait(timeout=300), shown.decode()


def test_an_upload_is_asked_for(small: DemoArchive, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        base = ("--train", small.archive, "--repo-id", REPO)
        code, shown = at_a_terminal("n", *base, env=env)
        assert code == 1
        assert "Go on? [y/N]" in shown
        assert "nothing was changed" in shown
        assert hub.repositories() == []
        code, shown = at_a_terminal("y", *base, env=env)
        assert code == 0, shown
        assert "Load it:" in shown
        code, shown = at_a_terminal("n", *base, env=env)
        assert code == 0, "there is nothing to ask when nothing changes"
        assert "Go on?" not in shown


def test_a_folder_is_not_asked_for_but_a_removal_is(small: DemoArchive, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    env = dict(os.environ)
    code, shown = at_a_terminal("n", "--train", small.archive, second.archive, "--out", tmp_path / "out", env=env)
    assert code == 0, shown
    code, shown = at_a_terminal("n", "--out", tmp_path / "out", "--remove", "sa_000001", env=env)
    assert code == 1
    assert "Go on? [y/N]" in shown
    code, shown = at_a_terminal("yes", "--out", tmp_path / "out", "--remove", "sa_000001", env=env)
    assert code == 0, shown


def test_forty_columns(small: DemoArchive, tmp_path: Path) -> None:
    """Every word that a file would get is there and whole, on lines that fit; what is to be copied stays one line."""
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    out = tmp_path / "a_dataset"
    publish = ("publish", small.archive, "--out", out)
    for verb in (
        [*publish, "--dry-run"],
        publish,
        ("info", out),
        ("catalog", "show", "hrsod_te"),
        ("publish", "--help"),
    ):
        code, shown = at_a_terminal("", *verb, env=env, program="asam_datasets", columns=40)
        assert code == 0, shown
        lines = re.split(r"[\r\n]+", shown)
        assert [line for line in lines if len(line) > 40 and "load_dataset(" not in line] == []
        if verb == publish:
            assert f'  dataset = load_dataset("{out}", split="train")' in lines
        else:
            piped = run_python("-m", "asam_datasets", *map(str, verb), env=env).out
            bare = re.sub(r"[\s█]", "", shown)
            heads = {"name", "state", "records", "files", "bytes", "from", "config", "split", "masks", "captions"}
            assert {word for word in piped.replace("█", "").split() if word not in bare} <= heads


@given(st.lists(st.text("ab1.,", min_size=1, max_size=12), min_size=1, max_size=20), st.integers(20, 60))
def test_lines_that_fit_have_all_words(words: list[str], columns: int) -> None:
    lines = fit("  " + " ".join(words), columns)
    assert max(map(len, lines)) <= columns
    assert " ".join(lines).split() == words
    rows = table([("name", "bytes"), *((word, "1.2 MB") for word in words)])
    shown = [short for line in rows for short in fit(line, 12)]
    assert sum("1.2 MB" in line for line in shown) == len(words)


EVIL = "a\x1b]0;title\x07\x9b2J\x7f\u202eb"


def test_nothing_raw_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Results, talk, failures with their hints, wrong usage, and JSON, which escapes no more than it must by itself."""
    terminal = Terminal()
    terminal.result(None, [EVIL, *table([(EVIL, "b")])])
    terminal.talk(EVIL)
    terminal.failure(SourceError(EVIL, where=EVIL, hint=EVIL))
    Terminal(as_json=True).result({"name": [EVIL, Path(EVIL).name], EVIL: Finding(EVIL, EVIL)}, [])
    shown = capsys.readouterr()
    assert json.loads(shown.out[shown.out.index("{") :]) == {"name": [EVIL, EVIL], EVIL: [EVIL, EVIL]}
    for arguments in (
        ["verify", "x", EVIL],
        [EVIL],
        ["publish", f"--{EVIL}"],
        ["preview", "x", "--out", "y", "--rows", EVIL],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code in (1, 2)
    usage = capsys.readouterr()
    for text in (shown.out, shown.err, usage.out, usage.err):
        assert all(c.isprintable() or c == "\n" for c in text), text
    assert usage.err.count("\\x1b]0;title\\x07\\x9b2J\\x7f\\u202eb") >= 3


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("--help",), 0), (("--version",), 0), (("verify",), 2)])
def test_exit_codes(arguments: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code
    shown = capsys.readouterr()
    assert "\\n" not in shown.out + shown.err
