"""What loading a model of transformers has in common, whatever it is for. Loads torch and transformers in functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asam_datasets.errors import ModelError, option
from asam_datasets.machine import file_sha256

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
"""The numbers that a model may calculate with."""

_MODEL_FILES = (".safetensors", ".bin", ".json", ".model")


def import_transformers(extra: str) -> tuple[Any, Any]:
    """torch and transformers, which then says nothing but errors.

    Args:
        extra: what brings them, for the message.

    Raises:
        ModelError: one of them is not there.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelError(
            f"expected torch and transformers, found no module named {error.name}",
            hint=f"pip install 'asam_datasets[{extra}]'; in a checkout: pip install -c constraints.txt -e '.[{extra}]'",
        ) from None
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return torch, transformers


@contextmanager
def loading(what: str, name: str) -> Iterator[None]:
    """Whatever a loader of transformers raises inside as one sentence: transformers, safetensors, tokenizers and the
    Hub share no base, and all mean the same here.

    Args:
        what: is loaded: `a SAM`.
        name: a folder, or a name on the Hub.

    Raises:
        ModelError: it could not be loaded.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise ModelError(
            f"expected {what} that transformers can load, found {type(error).__name__}: {lines[0][:300]}",
            where=name,
            hint=f"Check {option('model')}, a folder or a name on the Hub, the network and the login: `hf auth login`.",
        ) from error


def find_revision(name: str, revision: str | None) -> str:
    """Which model it is: the commit of one on the Hub, of a folder a digest of its configs, tokenizers and weights.

    Args:
        name: a folder, or a name on the Hub.
        revision: branch, tag or commit on the Hub; the default branch if None.

    Raises:
        ModelError: it cannot be told.
    """
    folder = Path(name)
    if folder.is_dir():
        content = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            if path.suffix in _MODEL_FILES:
                content.update(f"{path.name} {file_sha256(path)}\n".encode())
        return content.hexdigest()[:16]
    from transformers.utils.hub import cached_file, extract_commit_hash

    # The config itself no longer says where it came from.
    commit = extract_commit_hash(cached_file(name, "config.json", revision=revision), None)
    if commit is None:
        raise ModelError("expected a model in the cache of the Hub under its commit, found none", where=name)
    return str(commit)


def no_room(device: torch.device, error: RuntimeError) -> ModelError:
    """What is said when the memory of a device is full."""
    return ModelError(
        f"expected room for the model on {device}, found: {str(error).splitlines()[0]}",
        hint=f"Give a smaller {option('model')}, {option('dtype', 'bfloat16')}, or {option('device', 'cpu')}.",
    )


def choose_device(wanted: str) -> torch.device:
    """The device of a name such as `cuda:1`; of `auto` a GPU, where there is one.

    Raises:
        ModelError: there is no such device.
    """
    import torch

    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"expected a device that is there, found {wanted!r} ({str(error).splitlines()[0][:200]})",
            where=option("device"),
            hint="Give auto, cpu, or cuda:0.",
        ) from None
    return device


def choose_dtype(wanted: str, device: torch.device) -> str:
    """One of `DTYPES`; of `auto` bfloat16 on a GPU, and float32 elsewhere.

    Raises:
        ModelError: it is none of them.
    """
    if wanted == "auto":
        return "bfloat16" if device.type == "cuda" else "float32"
    if wanted not in DTYPES:
        raise ModelError(f"expected one of auto, {', '.join(DTYPES)}, found {wanted!r}", where=option("dtype"))
    return wanted


def describe_device(device: torch.device) -> str:
    """A device for people: `cuda:0 (NVIDIA H100)`."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
