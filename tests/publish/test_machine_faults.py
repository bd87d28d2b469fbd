"""What a machine does to a publish: it ends with a sentence, where somebody is left to say it; the next run goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import tar_bytes, tiny_members
from conftest import ROOT, Run, run_python

WAIT_S = 300.0
PUBLISH = (sys.executable, "-m", "asam_datasets.publish")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough records that two workers are at work for a while."""
    path = tmp_path_factory.mktemp("faults") / "sa_000000.tar"
    path.write_bytes(tar_bytes(tiny_members(3_000)))
    return path


@pytest.fixture(scope="module")
def whole(archive: Path, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The builds of a run that nothing happens to: their names have their digests."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert publish("--train", archive, "--out", out, "--parts", "8").code == 0
    return builds(out)


def builds(out: Path) -> set[str]:
    return {path.parent.name for path in out.glob("data/*/*/build.json")}


def start(archive: Path, out: Path) -> subprocess.Popen[str]:
    """A publish with two workers, in a group of its own, once both are at work."""
    process = subprocess.Popen(
        [*PUBLISH, "--train", str(archive), "--out", str(out), "--parts", "8", "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )  # fmt: skip
    deadline = time.monotonic() + WAIT_S
    while len(list(out.glob(".asam_datasets/*/*.tmp"))) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def workers(of: int) -> Iterator[int]:
    """The processes that `multiprocessing` spawned for a process to work."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == of and b"spawn_main" in (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except OSError:
            continue


def test_one_worker_is_killed(archive: Path, whole: set[str], publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(archive, out)
    os.kill(next(workers(process.pid)), signal.SIGKILL)
    said = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 1
    assert "error: expected 2 worker processes, found that one was killed" in said
    assert "Traceback" not in said
    assert not (out / "README.md").exists()
    assert publish("--train", archive, "--out", out, "--parts", "8").code == 0
    assert builds(out) == whole


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_whole_group_is_told_to_end(
    number: signal.Signals, archive: Path, whole: set[str], publish: Run, tmp_path: Path
) -> None:
    """As a scheduler does it, and as Ctrl-C."""
    out = tmp_path / "out"
    process = start(archive, out)
    os.killpg(process.pid, number)
    said = process.communicate(timeout=WAIT_S)[1]  # ends when nobody holds its stderr any more: no worker is left
    assert process.returncode in (130, 143, -signal.SIGTERM), said
    assert "Traceback" not in said
    assert not (out / "README.md").exists()
    assert publish("--train", archive, "--out", out, "--parts", "8").code == 0
    assert builds(out) == whole


def test_a_script_without_a_guard(archive: Path, tmp_path: Path) -> None:
    """Each worker would begin the whole script anew."""
    out, script = tmp_path / "out", tmp_path / "mine.py"
    script.write_text(
        "from asam_datasets.publish import PublishOptions, publish\n"
        f"publish(PublishOptions([{str(archive)!r}], out={str(out)!r}, workers=2))\n"
    )
    ran = run_python(script)
    assert ran.code == 1
    assert ran.err.count("Traceback") == 1  # of the script itself; those that read it again say nothing
    assert "expected 2 worker processes, found that they ended before they began" in ran.err
    if sys.version_info >= (3, 11):
        assert '`if __name__ == "__main__":`' in ran.err
    assert not (out / "README.md").exists()


def test_what_is_before_the_guard_does_no_harm(archive: Path, whole: set[str], publish: Run, tmp_path: Path) -> None:
    """Each worker does it once more, which is slow, and that is all."""
    out, first, script = tmp_path / "out", tmp_path / "first", tmp_path / "mine.py"
    (tmp_path / "few.tar").write_bytes(tar_bytes(tiny_members(2)))
    assert publish("--train", tmp_path / "few.tar", "--out", first).code == 0
    script.write_text(
        "from asam_datasets.published import verify\n"
        "from asam_datasets.publish import PublishOptions, publish\n"
        f"assert verify({str(first)!r}, deep=True).is_good\n"
        "if __name__ == '__main__':\n"
        f"    publish(PublishOptions({str(archive)!r}, out={str(out)!r}, workers=2, parts=8))\n"
    )
    ran = run_python(script, fresh=True)
    assert ran.code == 0, ran.err
    assert builds(out) == whole


def test_few_files_may_be_open(archive: Path, whole: set[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = run_python(
        *PUBLISH[1:], "--train", archive, "--out", out, "--parts", "8", "--workers", "2",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert builds(out) == whole


JUMPING = """
import itertools, time
real, jumps = time.time, itertools.cycle((0.0, -4e8, 4e8, -3600.0))
time.time = lambda: real() + next(jumps)
from asam_datasets.cli import publish_main
publish_main()
"""


def test_the_clock_jumps(archive: Path, whole: set[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = run_python("-c", JUMPING, "--train", archive, "--out", out, "--parts", "8", "--workers", "1")
    assert ran.code == 0, ran.err
    assert builds(out) == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be mounted again with more room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("file systems can be mounted by root alone")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


# Without the look at the room before: somebody else fills the disk meanwhile.
UNAWARE = """
import asam_datasets.publish._run as run
run._require_room = lambda *_: None
from asam_datasets.cli import publish_main
publish_main()
"""


def test_the_disk_is_full_at_every_stage(tmp_path: Path, publish: Run, small_disk: Path) -> None:
    """A real full disk, with a page more each time: work, part, manifest, index, license, README."""
    archive, out = tmp_path / "sa_000000.tar", small_disk / "out"
    archive.write_bytes(tar_bytes(tiny_members(50)))
    assert publish("--train", archive, "--out", tmp_path / "whole").code == 0
    failed = 0
    for pages in range(1, 60, 2):
        subprocess.run(["mount", "-o", f"remount,size={4 * pages}k", small_disk], check=True)
        done = run_python("-c", UNAWARE, "--train", archive, "--out", out, "--workers", "1")
        if done.code == 0:
            break
        failed += 1
        assert done.code == 1
        assert "found: No space left on device" in done.err
        assert "Traceback" not in done.err
        assert not (out / "README.md").exists()
        assert not (out / "data").exists() or (out / ".huggingface.yaml").stat().st_size
    assert builds(out) == builds(tmp_path / "whole")
    assert failed >= 4, "in the work folder, and behind it"
