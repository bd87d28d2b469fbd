"""Runs the publisher and a reader many times: a process that has imported everything forks for each.

Started with the environment of a hub, it reads one JSON object a line from stdin, forks, answers with the pid, and
with the exit status when the child ends. See `Forks` for the side of the test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()


def serve() -> None:
    """The process that forks."""
    import datasets
    import huggingface_hub
    import pyarrow.parquet

    import asam_datasets.cli

    assert datasets
    assert huggingface_hub
    assert pyarrow.parquet
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                output = os.open(task["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(output, 1)
                os.dup2(output, 2)
                os.environ.update(task["env"])
                if task["kind"] == "publish":
                    asam_datasets.cli.main(["publish", *task["args"]])
                else:
                    read(*task["args"])
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:  # noqa: BLE001 - a child never returns into its parent
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def read(repo_id: str, target: str) -> None:
    """Write down id and caption of every row that stock `datasets` finds, or that it finds none."""
    import datasets

    try:
        stream = datasets.load_dataset(repo_id, "train", split="train", streaming=True)
        rows = [[row["image_id"], row["caption"]] for row in stream.select_columns(["image_id", "caption"])]
    except Exception as error:  # noqa: BLE001 - whatever a reader runs into
        Path(target).write_text(json.dumps({"error": f"{type(error).__name__}: {error}"}))
    else:
        Path(target).write_text(json.dumps({"rows": rows}))


class Forks:
    """The test's side: `start` a child, `wait` for it; `pid` is the child's."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        root = HERE.parents[2]
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE)],
            env={**env, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()
        self.pid = 0

    def start(self, kind: str, *args: str, env: Mapping[str, str]) -> None:
        """Start a child."""
        task = {"kind": kind, "args": args, "env": dict(env), "output": str(self._folder / "output.txt")}
        assert self._server.stdin
        self._server.stdin.write(json.dumps(task) + "\n")
        self._server.stdin.flush()
        self.pid = self._answer()["pid"]

    def wait(self) -> int:
        """The exit status of the child; negative for a signal."""
        return int(self._answer()["code"])

    def publish(self, args: Sequence[str], env: Mapping[str, str]) -> int:
        """Run the command line to its end."""
        self.start("publish", *args, env=env)
        return self.wait()

    def rows(self, repo_id: str) -> list[list[Any]] | str:
        """What stock `datasets` loads: rows of (id, caption), or why it loads nothing."""
        target = self._folder / "rows.json"
        target.unlink(missing_ok=True)
        self.start("read", repo_id, str(target), env={})
        assert self.wait() == 0, self.output()
        found = json.loads(target.read_text())
        return found.get("rows") or str(found["error"])

    def output(self) -> str:
        """What the last child printed."""
        return (self._folder / "output.txt").read_text()

    def close(self) -> None:
        """End it."""
        self._server.kill()  # nothing of it is needed, and libraries with threads of their own may linger
        self._server.wait()
        for pipe in (self._server.stdin, self._server.stdout):
            assert pipe
            pipe.close()

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout
        line = self._server.stdout.readline()
        assert line, "the forking process ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


if __name__ == "__main__":
    serve()
