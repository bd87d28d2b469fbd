"""What is to be done, as a TOML file says it: which archives, where to, by which machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from asam_datasets.captions import CaptionOptions
from asam_datasets.download import choose_links, read_links
from asam_datasets.errors import AsamDatasetsError, SourceError, TargetError
from asam_datasets.machine import default_cache
from asam_datasets.sources import OnBadRecord
from asam_datasets.sources.sa1b import find_archives, open_source, split_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_EXAMPLE = "examples/scale/one_machine.toml"


class Machines(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who does tasks: an executor of `datatrove`.

    Args:
        kind: `local`, `slurm`, `ray` or `jobs` (of Hugging Face).
        workers: tasks at the same time.
        options: what that executor takes besides, such as `partition` and `time` of Slurm; see `datatrove`.
    """

    kind: Literal["local", "slurm", "ray", "jobs"] = "local"
    workers: int = 1
    options: dict[str, Any] = {}


class CaptionStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Captions made by a model: in the task of the archive, or by `machines` of their own in a stage before, which are
    of the same kind."""

    options: CaptionOptions = CaptionOptions()
    machines: Machines | None = None


class ScalePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be done. Exactly one of `links` and `sources` is given.

    Args:
        repo_id: the repository, `namespace/name`; a new one is private.
        run: a folder that all machines see, for what the tasks share: notes, captions, logs. The same folder goes on
            where it was stopped; another one begins anew.
        links: Meta's list of links; each task downloads its archive and removes it in the end.
        archives: names and ranges of that list; all of it if not given.
        sources: archives: folders, tars, URLs, as `publish` takes them. A URL is read as a stream.
        work: a folder of each machine for the task at hand; in the cache if not given.
        captions: a folder with caption files, `NAME-blip2-caption.json`.
        caption: captions made by a model instead.
        parts: number of Parquet files per archive; by its size if not given.
        on_bad_record: `raise` or `skip`; what is skipped is listed in the folder of the run.
        processes: that build one archive.
        machines: who does the tasks.
        release: who does the last one, which holds the ids and captions of all archives: about 10 MiB for each of
            SA-1B's; `machines` if not given.
    """

    repo_id: str
    run: str
    links: str | None = None
    archives: list[str] = []
    sources: list[str] = []
    work: str | None = None
    captions: str | None = None
    caption: CaptionStage | None = None
    parts: int | None = None
    on_bad_record: OnBadRecord = "raise"
    processes: int = 1
    machines: Machines = Machines()
    release: Machines | None = None

    def __post_init__(self) -> None:
        if (self.links is None) == (not self.sources):
            raise TargetError("expected one of `links` and `sources` in the plan", hint="Give exactly one of them.")
        if self.archives and self.links is None:
            raise TargetError("expected `archives` with `links`, found it alone", hint="Leave it out.")
        if self.captions is not None and self.caption is not None:
            raise TargetError(
                "expected one of `captions` and `caption` in the plan, found both",
                hint="`captions` are files that are there, `caption` makes them.",
            )
        others = [None if self.caption is None else self.caption.machines, self.release]
        for kind in (one.kind for one in others if one is not None):
            if kind != self.machines.kind:
                raise TargetError(
                    f"expected machines of one kind in the plan, found {self.machines.kind!r} and {kind!r}",
                    hint="Stages wait for each other only there.",
                )
        for name, number in (
            ("parts", self.parts or 1),
            ("processes", self.processes),
            ("workers", self.machines.workers),
        ):
            if number < 1:
                raise TargetError(f"expected `{name}` of at least 1 in the plan, found {number}")

    @property
    def work_folder(self) -> Path:
        """The folder of this machine for the tasks at hand."""
        return Path(self.work) if self.work else default_cache() / "scale"

    def find(self) -> dict[str, str | None]:
        """The archives by name, in the order of the tasks: where each is read; None where it is downloaded first.

        Raises:
            SourceError: the list of links or an archive is missing, or two have one name.
        """
        if self.links is not None:
            return {link.name: None for link in choose_links(read_links(Path(self.links)), self.archives, self.links)}
        found: dict[str, str | None] = {}
        for text in self.sources:
            name, place = split_name(text)
            for one in find_archives(place):
                source = open_source(one, name)
                if source.name in found:
                    raise SourceError(
                        f"expected archives of different names, found {source.name} twice",
                        where=source.label,
                        hint="Give each archive once, or another name: NAME=PATH",
                    )
                found[source.name] = one
        return found


def read_plan(path: Path) -> ScalePlan:
    """Read a plan.

    Raises:
        TargetError: it is missing, no TOML, or says something that a plan does not know.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), ScalePlan)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        if isinstance(error, AsamDatasetsError):
            raise
        said = error.strerror if isinstance(error, OSError) else str(error)
        cause = error.__cause__
        if isinstance(cause, AsamDatasetsError):
            raise type(cause)(cause.problem, where=str(path), hint=cause.marked_hint) from None
        raise TargetError(
            f"expected a plan, found: {said}", where=str(path), hint=f"See {_EXAMPLE} for one that runs."
        ) from None
