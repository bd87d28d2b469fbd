"""How many bytes and requests do some images of a dataset on the Hub cost, fetched by their ids?

    python benchmarks/fetch.py [--quick] [--rows N] [--ids N] [--stock-rows N] [--keep FOLDER]

Publishes N images (100,000; `--quick` 4,000) of 60 to 200 kB, each a drawn JPEG with comments of noise and 2 masks, and
serves them by a Hub on this machine, which counts. Then fetches `--ids` of them (100), here and there, by
`asam-datasets fetch` in a process of its own, and compares every file with its original. The obvious way,
`load_dataset(...).filter(...)`, has to transfer the whole dataset: it is run on one of `--stock-rows` (2,000), beside
ours on the same. A last line is about images as SA-1B has them, of 0.6 to 1.2 MB with 100 masks: there the annotations
of what shares a page with them count as well. `--keep` keeps what was published, for the next time.

What is compared with the images' bytes is every byte of every answer: README, index, footers, annotations, captions.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _archive import HEIGHT, MASKS, WIDTH
from _report import package_files, print_header, print_table, require_unchanged

from asam_datasets.demo import draw_record

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support")]
STOCK = """
import json, sys
from datasets import Image, load_dataset
ids = set(json.loads(sys.argv[2]))
table = load_dataset(sys.argv[1], "train", split="train").cast_column("image", Image(decode=False))
found = table.filter(lambda image_id: image_id in ids, input_columns="image_id")
print(json.dumps([(row["image_id"], len(row["image"]["bytes"])) for row in found]))
"""
OURS = """
import json, sys
from asam_datasets.published import rows
ids = json.loads(sys.argv[2])
found = rows(sys.argv[1], ids, ["image_id", "image"])
print(json.dumps([(row["image_id"], len(row["image"]["bytes"])) for row in found]))
"""


@dataclass(frozen=True)
class Images:
    """Images of a kind: drawn ones, made as large as they ought to be by comments that no decoder looks at."""

    drawn: tuple[tuple[bytes, dict[str, Any]], ...]
    least: int
    most: int
    noise: bytes

    @classmethod
    def draw(cls, count: int, height: int, width: int, masks: int, least: int, most: int) -> Images:
        """Draw `count` images; the others have their pixels and masks, in no order."""
        drawn = (draw_record(n, height=height, width=width, masks=masks, seed=0) for n in range(1, count + 1))
        return cls(
            tuple((jpeg, json.loads(text)) for jpeg, text in drawn), least, most, random.Random(0).randbytes(2**23)
        )

    def one(self, image_id: int) -> tuple[bytes, bytes]:
        """JPEG and JSON of an image."""
        dice = random.Random(image_id)
        jpeg, table = dice.choice(self.drawn)
        size, at = dice.randint(self.least, self.most), dice.randrange(2**22)
        rest = max(0, size - len(jpeg))
        comments = []
        while rest > 4:
            length = min(rest, 0xFFFF + 2) - 2
            comments.append(b"\xff\xfe" + length.to_bytes(2, "big") + self.noise[at : at + length - 2])
            at, rest = at + length, rest - length - 2
        table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
        return jpeg[:2] + b"".join(comments) + jpeg[2:], json.dumps(table).encode()


def publish(images: Images, rows: int, folder: Path) -> Path:
    """A dataset of `rows` images in a folder, made unless it is there."""
    dataset = folder / f"{images.least}-{rows}"
    if dataset.is_dir():
        return dataset
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary, "sa_000000.tar")
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for image_id in range(1, rows + 1):
                for ending, content in zip(("jpg", "json"), images.one(image_id), strict=True):
                    member = tarfile.TarInfo(f"sa_{image_id}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        made = Path(temporary, "dataset")
        command = [sys.executable, "-m", "asam_datasets.publish", "--train", str(path), "--out", str(made)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
        made.rename(dataset)
    return dataset


class Served:
    """A Hub with one dataset, and what programs cost that read it."""

    def __init__(self, hub: Any, repo_id: str, images: Images, folder: Path) -> None:
        self.hub, self.repo_id, self.images, self.folder = hub, repo_id, images, folder
        self._runs = 0

    def line(self, name: str, ids: Sequence[int], program: Sequence[str], out: Path | None = None) -> list[str]:
        """Run a program with an empty cache, check what it gave, and say what it cost."""
        self._runs += 1
        self.hub.clear_log()
        home = self.folder / f"home-{self._runs}"
        env = {**self.hub.environment(home), "PYTHONPATH": str(ROOT), "ASAM_DATASETS_CACHE": str(home / "cache")}
        started = time.monotonic()
        done = subprocess.run([sys.executable, *program], env=env, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        if done.returncode:
            raise SystemExit(f"error: {done.stderr[-3000:]}")
        originals = {one: self.images.one(one) for one in ids}
        if out is None:
            expected = [[one, len(jpeg)] for one, (jpeg, _) in originals.items()]
            assert sorted(json.loads(done.stdout.splitlines()[-1])) == sorted(expected), "another result"
        else:
            for one, (jpeg, table) in originals.items():
                stem = out / "sa_000000" / f"sa_{one}"
                assert stem.with_suffix(".jpg").read_bytes() == jpeg, f"another image {one}"
                assert json.loads(stem.with_suffix(".json").read_bytes()) == json.loads(table)
            assert len(list(out.glob("sa_000000/*.jpg"))) == len(ids)
        size = sum(len(jpeg) for jpeg, _ in originals.values())
        log = [one for one in self.hub.log if one.method == "GET"]
        fetched, counts = sum(one.bytes_out for one in log), self.hub.count_requests()
        return [
            name,
            f"{size / 1e6:.1f}",
            f"{fetched / 1e6:.1f}",
            f"{fetched / size:.2f} ×",
            str(counts["resolvers"]),
            str(counts["api"]),
            f"{seconds:.1f}",
        ]


def measure(images: Images, rows: int, ids: Sequence[int], folder: Path, *, stock: bool, what: str) -> list[list[str]]:
    """The lines about one dataset."""
    from local_hub import LocalHub

    repo_id, listed = "xhk/fetch", json.dumps(list(ids))
    dataset = publish(images, rows, folder)
    with tempfile.TemporaryDirectory(dir=folder) as temporary, LocalHub(Path(temporary, "hub")) as hub:
        hub.put_folder(repo_id, dataset)
        served, out, file = (
            Served(hub, repo_id, images, Path(temporary)),
            Path(temporary, "out"),
            Path(temporary, "ids"),
        )
        file.write_text(listed)
        fetch = ["-m", "asam_datasets", "fetch", repo_id, "--ids", str(file), "--out", str(out)]
        lines = [
            served.line(f"{what}: fetch", ids, fetch, out),
            served.line(f"{what}: rows(columns=[image])", ids, ["-c", OURS, repo_id, listed]),
        ]
        if stock:
            lines.append(
                served.line(f"{what}: load_dataset.filter", ids, ["-W", "ignore", "-c", STOCK, repo_id, listed])
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, for a first look")
    parser.add_argument("--rows", type=int, metavar="N", help="images of the dataset (100,000; quick: 4,000)")
    parser.add_argument("--ids", type=int, default=100, metavar="N", help="images that are fetched (100)")
    parser.add_argument("--stock-rows", type=int, default=2000, metavar="N", help="rows beside stock datasets (2,000)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where published datasets are kept and looked for")
    arguments = parser.parse_args()
    rows = arguments.rows or (4000 if arguments.quick else 100_000)
    print_header("What do images cost that are fetched by their ids?", "huggingface_hub", "datasets", "pyarrow")
    before = package_files()
    small = Images.draw(500, 64, 64, 2, 60_000, 200_000)
    large = Images.draw(8 if arguments.quick else 24, HEIGHT, WIDTH, MASKS, 600_000, 1_200_000)
    dice = random.Random(1)
    table = [["images", "MB of them", "MB fetched", "ratio", "files", "api", "s"]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        few = min(arguments.ids, arguments.stock_rows)
        for images, count, wanted, stock in (
            (small, rows, arguments.ids, False),
            (small, arguments.stock_rows, few, True),
            (large, 400, 24, False),
        ):
            ids = dice.sample(range(1, count + 1), wanted)
            table += measure(images, count, ids, folder, stock=stock, what=f"{wanted} of {count:,}")
    require_unchanged(before)
    print_table(table)


if __name__ == "__main__":
    main()
