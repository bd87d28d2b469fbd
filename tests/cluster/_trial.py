"""What all clusters are tried on: archives behind a server, a Hub, and what a plain publish makes of the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from local_hub import LocalHub  # noqa: E402

from asam_datasets.demo import draw_record  # noqa: E402

SCALE = ("-c", "from asam_datasets.cli import main; main()", "scale")
CAPTIONS = "-blip2-caption.json"


@dataclass
class Trial:
    """A folder with archives and their captions, and a Hub that is empty."""

    folder: Path
    hub: LocalHub
    url: str
    names: Sequence[str]
    parts: int | None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def archives(self) -> Path:
        """Where archives and captions are."""
        return self.folder / "archives"

    @property
    def work(self) -> Path:
        """The folder of a machine for the tasks at hand."""
        return self.folder / "work"

    def write_plan(self, repo_id: str, run: Path, names: Sequence[str], more: str) -> Path:
        """A plan for some archives, with captions that are there; `more` are the machines."""
        links = self.folder / "links.txt"
        links.write_text("".join(f"{name}.tar\t{self.url}/{name}.tar\n" for name in self.names))
        path = run.with_suffix(".toml")
        lines = [f'repo_id = "{repo_id}"', f'run = "{run}"', f'work = "{self.work}"', f'links = "{links}"']
        lines += [f"archives = {json.dumps(list(names))}", f'captions = "{self.archives}"']
        lines += [f"parts = {self.parts}"] if self.parts else []
        path.write_text("\n".join([*lines, more, ""]))
        return path

    def start(self, plan: Path, output: Path) -> subprocess.Popen[bytes]:
        """`asam-datasets scale PLAN` as the head of a session of its own."""
        with output.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, *SCALE, str(plan)], env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(self, *command: str | Path) -> str:
        """Run `python COMMAND` to its end; what it printed.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            [sys.executable, *map(str, command)], env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def check(self, repo_id: str, captions: Path | None = None) -> dict[str, Any]:
        """Compare with a plain publish of all archives, and count what arrived at the Hub since the last check.

        Args:
            repo_id: what was published.
            captions: a folder with caption files; that of the archives if not given.
        """
        out = self.folder / f"plain-{repo_id.rpartition('/')[2]}"
        files = sorted((captions or self.archives).glob(f"*{CAPTIONS}"))
        options = ["--parts", self.parts] if self.parts else []
        sources = [self.archives / f"{name}.tar" for name in self.names]
        self.run(
            *("-m", "asam_datasets.publish", "--out", out, "--workers", "2", "--train", *sources),
            *("--captions", *files, *map(str, options)),
        )
        plain = {path.relative_to(out).as_posix(): _sha256(path) for path in out.rglob("*.parquet")}
        sent = {path: entry.sha256 for path, entry in self.hub.files(repo_id).items() if path.endswith(".parquet")}
        same = {_without_run(path): digest for path, digest in sent.items()} == {
            _without_run(path): digest for path, digest in plain.items()
        }
        puts = Counter(one.path for one in self._puts() if one.performed == 200)
        arrived = {path.rpartition("/")[2] for path in puts}
        self.hub.clear_log()
        titles = [commit.title for commit in self.hub.commits(repo_id)]
        found = {
            "same parts as a plain publish": same,
            "parts": len(sent),
            "uploads that arrived": sum(puts.values()),
            "objects that arrived twice": sum(count > 1 for count in puts.values()),
            "commits": len(titles),
            "release commits": sum(title.startswith("Show") for title in titles),
            "files left in the folder for work": sum(path.is_file() for path in self.work.rglob("*")),
            "errors of the Hub": len(self.hub.errors),
        }
        wrong = (
            not same
            or not set(sent.values()) <= arrived
            or found["objects that arrived twice"]
            or found["release commits"] != 1
            or self.hub.errors
        )
        if wrong or found["files left in the folder for work"]:
            raise AssertionError(json.dumps(found, indent=2))
        return found

    def _puts(self) -> list[Any]:
        return [one for one in self.hub.log if one.method == "PUT" and "/lfs/" in one.path]


@contextmanager
def open_trial(
    archives: int, images: int, size: tuple[int, int], parts: int | None, masks: int = 12
) -> Iterator[Trial]:
    """Draw archives of `images` images each, (height, width), with so many masks, serve them, and start a Hub."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as made:
        place = Path(made)
        names = [f"sa_{number:06}" for number in range(archives)]
        _draw(place / "archives", names, images, size, masks)
        with _serve(place / "archives") as url, LocalHub(place / "hub", xet=False) as hub:
            env = hub.environment(place / "home", xet=False)
            env |= {"PYTHONPATH": str(ROOT), "ASAM_DATASETS_CACHE": str(place / "cache")}
            yield Trial(place, hub, url, names, parts, env)


def report(what: str, figures: dict[str, Any]) -> None:
    """Print what was measured."""
    print(f"\n{what}")
    for name, value in figures.items():
        print(f"  {name:<42} {value}", flush=True)


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take of the disk now; they may vanish meanwhile."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _draw(folder: Path, names: Sequence[str], images: int, size: tuple[int, int], masks: int) -> None:
    """One drawn image of SA-1B's form under other ids: what counts here are files and their sizes."""
    folder.mkdir()
    height, width = size
    jpeg, text = draw_record(1, height=height, width=width, masks=masks, seed=0)
    table: dict[str, Any] = json.loads(text)
    for number, name in enumerate(names):
        captions = []
        with tarfile.open(folder / f"{name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for image_id in range(number * images + 1, (number + 1) * images + 1):
                table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
                captions.append(json.dumps({"img": f"sa_{image_id}.jpg", "prompt": f"stones, number {image_id}"}))
                for ending, content in ((".jpg", jpeg), (".json", json.dumps(table).encode())):
                    member = tarfile.TarInfo(f"./sa_{image_id}{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        (folder / f"{name}{CAPTIONS}").write_text("\n".join(captions) + "\n")


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """A client that was killed is no error."""
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:
            self.close_connection = True


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _without_run(path: str) -> str:
    """`data/train/BUILD-RUN/part-000.parquet` without the run, which is another one each time."""
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('-')[0]}/{name}"
