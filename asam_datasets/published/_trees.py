"""The files of a dataset on the Hub without a listing of each: git's id of a folder stands for all that lies in it.

A listing has a thousand files a page, and a thousand archives are thirty-odd pages, which every publish would ask for.
The index says what has to lie in the folder of a build, to the byte. So that folder's id is computed here, and where
the Hub has the same one, it holds exactly that. What differs is listed.

The ids are those of git: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects, and of a large file that of its
pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha1
from typing import Any

from asam_datasets.builds import BUILD_FILE, DATA, Build, encode_build
from asam_datasets.published._answers import FileInfo, blob_id
from asam_datasets.published._client import HubClient

MANY_FILES = 8_000
"""Below so many a plain listing is as cheap: it takes eight requests, and this about as many."""

_PAGE = 1_000  # files of a page of a listing


def list_files(client: HubClient, revision: str, builds: Iterable[Build]) -> dict[str, FileInfo]:
    """All files of a revision by path.

    Args:
        builds: what its index says is there; what of it is not so is found by a listing.

    Raises:
        HubError: refused, or not reached.
    """
    expected = _expected(builds)
    most = sum(map(len, expected.values()))
    if most < MANY_FILES:
        return client.list_files(revision)
    files, folders = client.list_folder("", revision)
    others = [folder for folder in folders if folder != DATA]
    waiting = [folder for folder in folders if folder == DATA]
    while waiting and len(waiting) + len(others) <= most // _PAGE:  # a listing of all costs so many
        found, folders = client.list_folder(waiting.pop(), revision)
        files |= found
        for folder, tree in folders.items():
            if folder.count("/") == 1:  # of one kind: the builds are in it
                waiting.append(folder)
            elif folder in expected and folder_id(expected[folder], folder) == tree:
                files |= expected[folder]
            else:
                others.append(folder)
    if waiting or len(others) > most // _PAGE:
        return client.list_files(revision)
    for folder in others:
        files |= client.list_folder(folder, revision, recursive=True)[0]
    return files


def folder_id(files: Mapping[str, FileInfo], folder: str) -> str:
    """Git's id of a folder that holds these files, none of which can be run, and nothing else.

    Args:
        files: by path from the root of the repository; each with its blob id.
        folder: the path of the folder.
    """
    tree: dict[str, Any] = {}
    for path, info in files.items():
        *parents, name = path.removeprefix(f"{folder}/").split("/")
        level = tree
        for parent in parents:
            level = level.setdefault(parent, {})
        level[name] = info.blob_id
    return _tree_id(tree)


def _tree_id(tree: Mapping[str, Any]) -> str:
    lines = []
    for name, entry in tree.items():
        is_folder = isinstance(entry, Mapping)
        mode, key = ("40000", f"{name}/") if is_folder else ("100644", name)  # git sorts folders as if with a slash
        entry_id = _tree_id(entry) if is_folder else entry
        lines.append((key.encode(), f"{mode} {name}\0".encode() + bytes.fromhex(entry_id)))
    content = b"".join(line for _, line in sorted(lines))
    return sha1(b"tree %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _expected(builds: Iterable[Build]) -> dict[str, dict[str, FileInfo]]:
    """The files of some builds, by their folders."""
    expected: dict[str, dict[str, FileInfo]] = {}
    for build in builds:
        files = expected.setdefault(build.path, {})
        manifest = encode_build(build)
        files[f"{build.path}/{BUILD_FILE}"] = FileInfo(len(manifest), None, blob_id(manifest))
        for part in build.parts:
            pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"
            pointer %= part.sha256.encode(), part.size_bytes
            files[f"{build.path}/{part.file}"] = FileInfo(part.size_bytes, part.sha256, blob_id(pointer))
    return expected
