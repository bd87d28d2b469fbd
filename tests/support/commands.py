"""Programs as a user runs them, for the tests: forked from a process that is warm, or fresh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_hub import has_fixed_port
from warm import PACKAGE, Program, warm_for

ROOT = Path(__file__).resolve().parents[2]
# What programs that train import.
TORCH = (
    *("torch", "torch.distributed.run", "torch.utils.data", "torchdata.stateful_dataloader", "transformers"),
    *("asam_datasets.training", "asam_datasets.cli", "asam_datasets.evaluate._run"),
    "transformers.models.sam.modeling_sam",  # transformers itself loads none before it is used
)


@dataclass(frozen=True)
class Ran:
    """A finished program."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def run_python(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    fresh: bool = False,
    timeout_s: float = 300,
    python: Sequence[str] = (sys.executable,),
    imports: Sequence[str] = PACKAGE,
    preexec_fn: Callable[[], object] | None = None,
) -> Ran:
    """Run `python COMMAND...` to its end.

    Args:
        command: `-m MODULE`, `-c CODE` or a script, and arguments.
        env: the environment; this process's own if not given. The package is found by it unless it says PYTHONPATH.
        cwd: the folder.
        fresh: start a process for it, with its imports, whatever else would do.
        timeout_s: seconds until it is killed.
        python: the interpreter and its flags.
        imports: what it will import, for the process that forks.
        preexec_fn: called in the new process, which is then a fresh one.

    Raises:
        TimeoutError: it did not end.
    """
    environment = {"PYTHONPATH": str(ROOT), **(os.environ if env is None else env)}
    arguments = [str(each) for each in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull) as nothing:
        streams = (nothing.fileno(), out.fileno(), err.fileno())
        program = None if fresh or preexec_fn else start_warm(arguments, environment, cwd, streams, python, imports)
        if program is not None:
            code = program.wait(timeout_s)
        else:
            done = subprocess.run(
                [*python, *arguments], stdin=nothing, stdout=out, stderr=err, env=environment, cwd=cwd, check=False,
                timeout=timeout_s, preexec_fn=preexec_fn,
            )  # fmt: skip
            code = done.returncode
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode().replace("\r\n", "\n"))
    return Ran(code, *texts)


def start_warm(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    streams: Sequence[int],
    python: Sequence[str] = (sys.executable,),
    imports: Sequence[str] = PACKAGE,
) -> Program | None:
    """Start a program in a fork, None when `env` asks for what only a fresh process can read."""
    if "HF_ENDPOINT" in env and not has_fixed_port(env["HF_ENDPOINT"]):
        return None
    warm = warm_for(env, imports, python)
    return None if warm is None else warm.start(command, env, cwd, streams)


def run_reader(
    environment: str, *command: str | Path, env: Mapping[str, str], cwd: Path = ROOT, package: bool = False
) -> Ran:
    """Run `python COMMAND...` in `.venvs/ENVIRONMENT`, without warnings; `package`: where ours can be imported."""
    python = ROOT / ".venvs" / environment / "bin" / "python"
    assert python.exists(), f"{python} is missing: make it by `make readers`"
    return run_python(
        *command,
        env={**env, "PYTHONPATH": str(ROOT) if package else ""},
        cwd=cwd,
        python=(str(python), "-W", "ignore"),
        imports=("datasets", "pyarrow.parquet"),
    )


def be_nice() -> None:
    """As `preexec_fn`: let a test that watches for a moment see it, however busy the machine is."""
    os.nice(10)


def kill_and_wait_for_all(process: subprocess.Popen[Any]) -> None:
    """End a program by SIGKILL and wait until its workers have noticed: all that hold its stderr, a pipe, are gone."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr
    with process.stderr:
        process.stderr.read()
