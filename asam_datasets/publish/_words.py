"""What a run says on the card in its own words, and what that does to the words that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from asam_datasets.builds import Build, Survey, with_rights
from asam_datasets.errors import TargetError, option, printable
from asam_datasets.machine import path_of
from asam_datasets.publish._options import PublishOptions
from asam_datasets.release import LICENSE, MARK, CardChange, Target, Words, find_changes

_MOST_BYTES = 2**16
"""Of a text about a dataset: ten pages."""


def read_words(options: PublishOptions) -> Words:
    """Title and text of this run; a new card is called as its repository or folder.

    Raises:
        TargetError: the file with the text cannot be read, is no text, or too long, or has marks of ours.
    """
    name = options.repo_id.rpartition("/")[2] if options.repo_id else path_of(options.out or "").resolve().name
    about = None if options.about is None else _read_about(path_of(options.about))
    default = printable(name).replace(MARK, "").strip() or "Dataset"
    return Words(default, options.title, about)


def _read_about(path: Path) -> str:
    where = option("about", str(path))
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig").replace("\r\n", "\n").strip()
    except OSError as error:
        raise TargetError(f"expected a Markdown file, found: {error.strerror}", where=where) from None
    except UnicodeDecodeError:
        raise TargetError("expected text in UTF-8, found other bytes", where=where) from None
    if not text or len(content) > _MOST_BYTES:
        raise TargetError(
            f"expected text of at most {_MOST_BYTES // 1024} KiB, found {len(content):,} bytes",
            where=where,
            hint="Leave the option out to keep what the card has.",
        )
    if MARK in text:
        raise TargetError(
            f"expected text without our own marks, found {MARK} in it",
            where=where,
            hint="They tell which text of the card a publish writes; leave them out.",
        )
    return text


def find_card_changes(target: Target, current: Sequence[Build], words: Words) -> list[CardChange]:
    """What the release does to words on the card and in the license file that somebody wrote."""
    changes = find_changes(current, words, target.license_file, target.readme)
    if target.license_file != LICENSE:
        changes.append(CardChange(LICENSE, "somebody's own", f"the list goes to {target.license_file}", "kept"))
    return changes


def with_licenses(options: PublishOptions, surveys: Sequence[Survey], published: Mapping[str, Build]) -> list[Survey]:
    """The surveys of archives, and of what was made of them, under the license that was said: in this run, or in the
    one that published them."""
    found = []
    for survey in surveys:
        if survey.recipe.kind == "evaluation":
            found.append(survey)
            continue
        before = published.get(survey.recipe.name)
        kept = before.rights if before is not None and before.kind == survey.recipe.kind else None
        found.append(with_rights(survey, options.rights or kept))
    return found
