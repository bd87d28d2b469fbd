"""Datasets changed by hand: as the release before runs and indexes wrote them, and with a manifest that was made
to agree with something."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import yaml

FOLDERS = "data/*/*/build.json"


def as_last_release(dataset: Path) -> list[str]:
    """Change a folder; gives the folders of builds, as README names them then."""
    folders = []
    for manifest in sorted(dataset.glob(FOLDERS)):
        folder = manifest.parent
        bare = folder.with_name(folder.name.rpartition("-")[0])
        folder.rename(bare)
        folders.append(bare.relative_to(dataset).as_posix())
    for index in dataset.glob("data/index-*"):
        index.unlink()
    readme = dataset / "README.md"
    _, front, body = readme.read_text("utf-8").split("---\n", 2)
    yaml_block = yaml.safe_load(front)
    del yaml_block["asam_datasets"]
    for config in yaml_block["configs"]:
        for entry in config["data_files"]:
            kind = entry["path"][-1].split("/")[1]
            shown = [folder for folder in folders if folder.split("/")[1] == kind]
            if kind == "evaluation" and config["config_name"] != "evaluation":
                shown = [folder for folder in shown if folder.split("/")[2].startswith(f"{config['config_name']}-")]
            entry["path"] = [f"{folder}/part-*.parquet" for folder in shown]
    text = yaml.safe_dump(yaml_block, sort_keys=False, allow_unicode=True, width=1000)
    readme.write_text(f"---\n{text}---\n{body}", "utf-8")
    return folders


def reindex(dataset: Path, change: Callable[[str], str] = lambda text: text) -> None:
    """Make the index say what the `build.json` files say, and README name it.

    Args:
        change: of its JSON, which has no spaces.
    """
    (index,) = dataset.glob("data/index-*.json.gz")
    content = json.loads(gzip.decompress(index.read_bytes()))
    manifests = {path.parent: json.loads(path.read_text()) for path in dataset.glob(FOLDERS)}
    content["builds"] = [{**build, "run": folder.name.rpartition("-")[2]} for folder, build in manifests.items()]
    text = change(json.dumps(content, separators=(",", ":"), ensure_ascii=False)).encode()
    index.unlink()
    name = f"index-{hashlib.sha256(text).hexdigest()[:16]}.json.gz"
    index.with_name(name).write_bytes(gzip.compress(text))
    readme = dataset / "README.md"
    readme.write_text(readme.read_text("utf-8").replace(index.name, name), "utf-8")
