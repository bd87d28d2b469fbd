"""Python programs without the second that their imports take: a process that has imported everything forks for each.

A `Warm` is one such process. It runs what `python -m MODULE`, `python SCRIPT` and `python -c CODE` would: as
`__main__`, with the arguments, environment, folder and streams it is told. What libraries take from the environment
while they are imported must be what it was started with; `warm_for` finds or starts the process that fits, or says
that there is none, and then a fresh process is the only honest way. `commands.run` does so for the tests.

In a forked child `sys.executable` is this file's `shim`: a program that such a child runs by itself, as the publisher
does when it loads the dataset back, is forked too.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
SOCKET = "ASAM_DATASETS_TESTS_WARM"
# Read by libraries while they are imported, so that a process which has imported them cannot take them over.
IMPORTED = ("HF_", "HUGGING", "DATASETS_", "XET_", "TRANSFORMERS_", "OMP_", "PYTHON", "LD_", "ASAM_DATASETS_WAITS")
# Read when they are needed; the home is a link that is set before each fork.
LATE = ("HF_TOKEN", "HF_HOME")
# All that may be fixed while a process is started. Who sets anything else wants to see it read: by a fresh process.
USUAL = (
    *("HF_ENDPOINT", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "HF_HUB_OFFLINE"),
    *("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS", "OMP_NUM_THREADS", "PYTHONPATH"),
    "ASAM_DATASETS_WAITS",
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
STARTED_IN_S = 120


def serve(folder: Path, imports: Sequence[str]) -> None:
    """The process that forks: a task of one line of JSON on a connection, its pid and then its exit code back."""
    for name in imports:
        __import__(name)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket.new"))
    listener.listen(64)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        (folder / "socket.new").rename(folder / "socket")
        while True:
            for key, _ in selector.select():
                if key.fileobj == ended:
                    os.read(ended, 4096)
                    for pid in list(running):
                        gone, status = os.waitpid(pid, os.WNOHANG)
                        if gone:
                            _answer(running.pop(pid), code=os.waitstatus_to_exitcode(status))
                    continue
                connection = listener.accept()[0]
                line, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
                task = json.loads(line)
                home = folder / "home"
                if os.readlink(home) != task["home"]:
                    assert not running, "programs with different homes cannot run at once"
                    home.unlink()
                    home.symlink_to(task["home"])
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                    for other in [listener, connection, *running.values()]:
                        other.close()
                    for stream in [*streams, ended, wake]:
                        os.close(stream)
                    selector.close()
                    _run(task)
                for stream in streams:
                    os.close(stream)
                running[pid] = connection
                _answer(connection, pid=pid)


def _answer(connection: socket.socket, **what: int) -> None:
    with contextlib.suppress(OSError):  # whoever asked is gone
        connection.sendall(json.dumps(what).encode() + b"\n")
    if "code" in what:
        connection.close()


def _run(task: Mapping[str, Any]) -> None:
    """Be the program, and end as it does."""
    import runpy
    from types import ModuleType

    code = 70
    try:
        os.environ.clear()
        os.environ.update(task["env"])
        os.chdir(task["cwd"])
        sys.argv = list(task["argv"])
        sys.executable = task["shim"]
        tempfile.tempdir = None
        time.tzset()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        flag, program = task["program"]
        if flag == "-m":
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        elif flag == "-c":
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(program, "<string>", "exec"), main.__dict__)
        else:
            sys.path[0] = os.path.dirname(os.path.abspath(program))
            runpy.run_path(program, run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - a child never returns into its parent
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ask(
    address: str, command: Sequence[str], env: Mapping[str, str], cwd: str, streams: Sequence[int], shim: str
) -> tuple[socket.socket, int]:
    """Start `-m MODULE`, `-c CODE` or `SCRIPT` with arguments; the connection that says how it ended, and its pid."""
    flag = command[0] if command[0] in ("-m", "-c") else ""
    program, *arguments = command[1:] if flag else command
    home = env.get("HF_HOME") or os.path.join(os.path.dirname(address), "own")
    os.makedirs(home, exist_ok=True)  # what is to lie in it cannot be made through a link to nowhere
    task = {
        "program": [flag, program],
        "argv": [flag or program, *arguments],
        "env": dict(env),
        "cwd": cwd,
        "home": home,
        "shim": shim,
    }
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    socket.send_fds(connection, [json.dumps(task).encode()], list(streams))
    return connection, int(_hear(connection)["pid"])


def wait(connection: socket.socket) -> int:
    """The exit code of a program; negative for a signal."""
    with connection:
        return int(_hear(connection)["code"])


def _hear(connection: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(1)
        assert piece, "the forking process ended"
        line += piece
    answer: dict[str, Any] = json.loads(line)
    return answer


def shim() -> None:
    """`sys.executable` of a forked child: `SCRIPT ARGUMENT...` is forked, anything else is run by the real Python."""
    arguments = sys.argv[2:]
    while arguments[:1] == ["-u"]:  # as torchrun starts its ranks: streams are files here
        arguments = arguments[1:]
    if not arguments or arguments[0].startswith("-"):
        os.execv(sys.executable, [sys.executable, *arguments])
    address = os.environ[SOCKET]
    connection, _ = ask(address, arguments, os.environ, os.getcwd(), (0, 1, 2), sys.executable)
    os._exit(wait(connection))


class Program:
    """A program that runs: its `pid`, and the wait for its end."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid = pid
        self._connection = connection

    def is_done(self) -> bool:
        """Whether `wait` would not wait."""
        return bool(select.select([self._connection], [], [], 0)[0])

    def wait(self, timeout_s: float = 300) -> int:
        """The exit code; negative for a signal.

        Raises:
            TimeoutError: it did not end in time, and was killed.
        """
        self._connection.settimeout(timeout_s)
        try:
            return wait(self._connection)
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            raise


class Warm:
    """One process that has imported `imports`.

    Args:
        env: its environment.
        imports: modules.
        python: the interpreter and its flags.
    """

    def __init__(self, env: Mapping[str, str], imports: Sequence[str], python: Sequence[str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
        home = self._folder / "home"
        home.symlink_to(env.get("HF_HOME", "nowhere"))
        self._shim = self._folder / "python"
        self._shim.write_text(f'#!/bin/sh\nexec {python[0]} -I -S {HERE} --shim "$@"\n')
        self._shim.chmod(self._shim.stat().st_mode | stat.S_IXUSR)
        with (self._folder / "log.txt").open("w") as log:
            self._server = subprocess.Popen(
                [*python, str(HERE), "--serve", str(self._folder), *imports],
                # Where torch is installed, `datasets` imports it for a counter that data loaders share.
                env={"USE_TORCH": "0", **env, "HF_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._address = str(self._folder / "socket")
        self._ready = False

    def start(self, command: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Sequence[int]) -> Program:
        """Start `-m MODULE`, `-c CODE` or `SCRIPT`, with arguments, and stdin, stdout and stderr."""
        self._wait_until_ready()
        env = {**env, SOCKET: self._address}
        return Program(*ask(self._address, command, env, str(cwd), streams, str(self._shim)))

    def close(self) -> None:
        """End it."""
        self._server.kill()  # nothing of it is needed, and libraries with threads of their own may linger
        self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + STARTED_IN_S
        while not self._ready:
            self._ready = os.path.exists(self._address)
            assert self._server.poll() is None, (self._folder / "log.txt").read_text()
            assert time.monotonic() < end, "the forking process did not start"
            if not self._ready:
                time.sleep(0.01)


# With what they import when they are used. Not `hf_xet`, which takes settings from the environment in its own way.
PACKAGE = (
    *("asam_datasets.cli", "datasets", "huggingface_hub.hf_api", "huggingface_hub._upload_pipeline"),
    *("pyarrow.parquet", "aiohttp", "pydantic.type_adapter", "typer._adapters", "multiprocessing.synchronize"),
    *("PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.PpmImagePlugin", "PIL.GifImagePlugin", "PIL.BmpImagePlugin"),
)
_started: dict[tuple[object, ...], Warm] = {}


def warm_for(
    env: Mapping[str, str], imports: Sequence[str] = PACKAGE, python: Sequence[str] = (sys.executable,)
) -> Warm | None:
    """The process whose imports met what `env` says to them, started when it is first asked for; None if none may."""
    names = [name for name in env if name.startswith(IMPORTED) or name.lower() in PROXIES]
    fixed = {name: env[name] for name in sorted(names) if name not in LATE}
    told = [name for name, value in fixed.items() if os.environ.get(name) != value and name.lower() not in PROXIES]
    if not set(told) <= set(USUAL):
        return None
    key = (*python, *imports, *fixed.items())
    if key not in _started:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(IMPORTED)}
        kept = {name: value for name, value in kept.items() if name.lower() not in PROXIES}
        _started[key] = Warm({**kept, **fixed}, imports, python)
    return _started[key]


@atexit.register
def close_all() -> None:
    """End every forking process."""
    while _started:
        _started.popitem()[1].close()


if __name__ == "__main__":
    if sys.argv[1] == "--shim":
        shim()
    else:
        serve(Path(sys.argv[2]), sys.argv[3:])
