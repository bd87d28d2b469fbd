"""What is held out as the split `validation`: as this run says it, and else as it is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from asam_datasets.builds import VALIDATION, Build, Options, Survey, Validation, count_held_out
from asam_datasets.errors import SourceError, option
from asam_datasets.publish._plan import Loss
from asam_datasets.published import Published, published_rows


def published_split(shown: Published, build: Build, log: Callable[[str], None]) -> Validation | None:
    """Which images of a visible build are held out; None where none are.

    Raises:
        SourceError: a part is damaged.
        HubError: the Hub refused, or was not reached.
    """
    if VALIDATION not in build.splits:
        return None
    rows = published_rows(shown, build.in_split(VALIDATION), ["file_name"], log)
    return Validation(files=frozenset(row["file_name"] for row in rows))


def check_listed(surveys: Sequence[Survey], validation: Validation | None) -> None:
    """A list has to name some image of these archives, as far as they are known.

    Raises:
        SourceError: it names none.
    """
    known = all(survey.rows is not None for survey in surveys)
    names = validation.names if validation is not None else ()
    if names and known and not any(count_held_out(survey.index.refs or (), validation) for survey in surveys):
        raise SourceError(
            f"expected names or ids of images of these archives, found none of {len(names):,}, such as {min(names)!r}",
            where=option("validation"),
            hint="A name is what the table calls the image, such as sa_226381.jpg, or its path in the archive.",
        )


def split_losses(survey: Survey, published: Build, options: Options) -> Iterator[Loss]:
    """The splits of a visible build that would have fewer records, while the build has as many."""
    refs = survey.index.refs
    if refs is None or survey.recipe.kind != "train" or len(refs) < published.rows:
        return
    held_out = count_held_out(refs, options.validation)
    for split, after in (("train", len(refs) - held_out), (VALIDATION, held_out)):
        before = published.in_split(split).rows
        if after < before:
            yield Loss(survey.recipe.name, f"records of the split {split}", before, after)


def planned_splits(survey: Survey, options: Options) -> Sequence[str]:
    """The splits that an archive, or the adversarial samples, will have, as far as that is known."""
    held_out = _count(survey, options)
    return (*(["train"] if not held_out or held_out != survey.rows else []), *([VALIDATION] if held_out else []))


def split_note(survey: Survey, options: Options) -> str:
    """What a plan says of it; nothing where nothing is held out, or where that is not known yet."""
    held_out = _count(survey, options)
    if not held_out:
        return ""
    return f"{survey.recipe.name}: {held_out:,} of {survey.rows:,} records are held out as the split {VALIDATION}"


def _count(survey: Survey, options: Options) -> int:
    return count_held_out(survey.index.refs or (), options.validation) if survey.recipe.kind == "train" else 0
