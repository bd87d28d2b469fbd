"""What a publish is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from types import NoneType
from typing import get_args

from asam_datasets.errors import SourceError, TargetError, option
from asam_datasets.machine import AnyPath, texts_of
from asam_datasets.release import MARK, Destination, Gate
from asam_datasets.rights import Rights, parse_license
from asam_datasets.sources import OnBadRecord
from asam_datasets.sources.evaluation import Protocol

_HUB_ONLY = ("private", "public", "gated", "revision", "create_pr", "tag")
_TITLE_LETTERS = 200


def _listed(names: Sequence[str], last: str = "and") -> str:
    spelled = [option(name) for name in names]
    return f"{', '.join(spelled[:-1])} {last} {spelled[-1]}"


@dataclass(frozen=True)
class PublishOptions:
    """What to publish and where. Exactly one of `out` and `repo_id` is set. A script that publishes with more than one
    process does so below `if __name__ == "__main__":`; each of them reads it first.

    Args:
        train: archives of SA-1B or of one's own: folders, tars, zips, COCO JSONs; of SA-1B also URLs.
        evaluation: evaluation sets as `ID=FOLDER`, or `ID:VARIANT=FOLDER`.
        catalog: TOML files with evaluation sets of the user's own.
        protocol: `asam` reads evaluation sets as ASAM's own loaders do.
        adversarial: folder that ASAM's generator of adversarial samples left; their originals are in `train`.
        captions: caption files; those beside the archives of an organised folder if none are given.
        no_captions: publish these archives without captions, also those that are visible now.
        require_captions: every image has to have one.
        out: folder that becomes (or is) the dataset.
        repo_id: repository on the Hub, `namespace/name`.
        remove: names of published archives that are taken away.
        annotations_only: names of archives whose images are left out.
        ids: the image ids to take, or a file with them.
        parts: number of Parquet files per archive, in the first of its splits.
        validation: share of each archive that is held out as the split `validation`, or names or ids of its images, or
            a file with them; what was held out stays so if not given, and 0 ends it.
        workers: processes.
        on_bad_record: `raise` or `skip`.
        rejects: where skipped records are listed.
        private: True, False, or None for what the repository is (private if it is new).
        gated: readers have to accept the terms: `auto` lets them in at once, `manual` after they were looked at.
        accept_sa1b_terms: the publisher acknowledges the SA-1B terms.
        destination: branch, pull request, tag.
        title: heading of the card; what it has stays if not given.
        about: a Markdown file for the card; what an earlier publish was told stays if not given.
        license: of the archives of this run, by its name: SA-1B's if nobody ever said another one.
        license_link: its web page.

    Raises:
        SourceError, TargetError, RightsError: options that do not go together, or a license that is none.
    """

    train: AnyPath | Sequence[AnyPath] = ()
    evaluation: Sequence[str] = ()
    catalog: AnyPath | Sequence[AnyPath] = ()
    protocol: Protocol = "default"
    adversarial: AnyPath | None = None
    captions: AnyPath | Sequence[AnyPath] = ()
    no_captions: bool = False
    require_captions: bool = False
    out: AnyPath | None = None
    repo_id: str | None = None
    remove: Sequence[str] = ()
    annotations_only: Sequence[str] = ()
    ids: AnyPath | Iterable[int | str] | None = None
    parts: int | None = None
    validation: float | AnyPath | Iterable[int | str] | None = None
    workers: int | None = None
    on_bad_record: OnBadRecord = "raise"
    rejects: AnyPath | None = None
    private: bool | None = None
    gated: Gate | None = None
    accept_sa1b_terms: bool = False
    destination: Destination = field(default_factory=Destination)
    title: str | None = None
    about: AnyPath | None = None
    license: str | None = None
    license_link: str | None = None

    def __post_init__(self) -> None:
        self._check_types()
        if (self.out is None) == (self.repo_id is None):
            raise TargetError(
                f"expected one of {option('out', 'DIR')} and {option('repo_id', 'NS/NAME')}",
                hint="Give exactly one of them.",
            )
        if not self.train and not self.evaluation and not self.remove and self.title is None and self.about is None:
            raise SourceError(
                f"expected at least one {option('train', 'SOURCE')} or {option('evaluation', 'ID=FOLDER')}, found none"
            )
        if self.adversarial is not None and not self.train:
            raise SourceError(
                f"expected {option('train')} with the originals of the adversarial samples, found none",
                where=option("adversarial"),
                hint="Give the archives that they were made from; what is published of them stays as it is.",
            )
        self._check_words()
        if self.validation is not None and not self.train:
            raise SourceError(
                f"expected {option('train')} with the archives that {option('validation')} is about, found none",
                hint="Give the archives again; what is published of them stays as it is.",
            )
        if self.no_captions and (self.captions or self.require_captions):
            raise TargetError(
                f"expected {option('no_captions')} alone, found it with {option('captions')} or "
                f"{option('require_captions')}",
                hint="Captions that are not given again stay as they are; leave it out to keep them.",
            )
        asked = self.private is not None or self.gated or self.destination != Destination()
        if self.out is not None and asked:
            raise TargetError(
                f"expected {_listed(_HUB_ONLY)} with {option('repo_id')} only",
                where=option("out"),
                hint="A folder has none of these; leave them out.",
            )
        if self.destination.create_pr and (self.private is not None or self.gated):
            raise TargetError(
                f"expected {option('create_pr')} alone, found it with {_listed(_HUB_ONLY[:3], 'or')}",
                hint="Who may see the dataset is for those to say who merge the pull request.",
            )
        if self.destination.create_pr and (self.destination.revision or self.destination.tag):
            raise TargetError(
                f"expected {option('create_pr')} alone, found it with {option('revision')} or {option('tag')}",
                hint="A pull request is its own revision; tag the dataset when it is merged.",
            )

    @property
    def rights(self) -> Rights | None:
        """What was said of the license of this run's archives; None where nothing was."""
        return None if self.license is None else parse_license(self.license, self.license_link)

    def _check_types(self) -> None:
        """Whatever is given for a list becomes one; numbers and words are what the types say."""
        for name in ("train", "evaluation", "catalog", "captions", "remove", "annotations_only"):
            object.__setattr__(self, name, tuple(texts_of(getattr(self, name), name)))
        for name in ("ids", "validation"):
            given = getattr(self, name)
            if isinstance(given, Iterable) and not isinstance(given, (str, os.PathLike)):
                object.__setattr__(self, name, tuple(given))
        for name in ("parts", "workers"):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, Integral) or number < 1):
                raise TargetError(f"expected {option(name)} of at least 1, found {number!r}")
        for name, words in (("on_bad_record", get_args(OnBadRecord)), ("protocol", get_args(Protocol))):
            if getattr(self, name) not in words:
                raise SourceError(f"expected {' or '.join(words)}, found {getattr(self, name)!r}", where=option(name))
        for name in ("title", "license", "license_link", "repo_id"):
            if not isinstance(getattr(self, name), (str, NoneType)):
                raise SourceError(f"expected text, found {getattr(self, name)!r}", where=option(name))

    def _check_words(self) -> None:
        title = self.title
        if title is not None and not (
            0 < len(title.strip()) <= _TITLE_LETTERS and title.isprintable() and MARK not in title
        ):
            raise TargetError(
                f"expected a title in one line of at most {_TITLE_LETTERS} letters, found {title[:80]!r}",
                where=option("title"),
                hint=f"What there is more to say goes into {option('about', 'FILE.md')}.",
            )
        if self.license_link is not None and self.license is None:
            raise SourceError(f"expected {option('license')} with {option('license_link')}, found none")
        if self.rights is not None and not self.train:
            raise SourceError(
                f"expected {option('train')} with the archives that {option('license')} is about, found none",
                hint="Evaluation sets have the license that their catalog names.",
            )
