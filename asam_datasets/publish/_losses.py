"""What a publish would take away: what was visible stays, unless the run says otherwise and somebody agrees.

Captions that this run says nothing about are carried over. What is replaced by less, or by something else under the
same name, is a `Loss` of the plan, with both numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from asam_datasets.builds import (
    VALIDATION,
    Build,
    Built,
    Candidate,
    Options,
    Survey,
    Validation,
    find_unchanged,
    only,
    with_captions,
    with_images,
)
from asam_datasets.errors import CaptionsError, TargetError, option
from asam_datasets.publish._held_out import split_losses
from asam_datasets.publish._plan import Loss, Plan
from asam_datasets.published import Published, published_rows
from asam_datasets.sources import CAPTION_LIST, BadRecords, parse_captions
from asam_datasets.workers import Workers

_OTHER = "from another source, or changed"


def published_captions(shown: Published, build: Build, log: Callable[[str], None]) -> dict[str, str]:
    """The captions of published rows by file name of the original: out of the archive's caption file, which one request
    brings, or out of the parts where that is missing or says another number.

    Raises:
        SourceError: a part is damaged.
        HubError: the Hub refused, or was not reached.
    """
    if not build.captions:
        return {}
    path = f"organized/{build.name}{CAPTION_LIST}"
    content = shown.read(path)
    if content is not None:
        try:
            captions = parse_captions(content, path, BadRecords())
        except CaptionsError:
            captions = {}
        if len(captions) == build.captions:
            return captions
    rows = published_rows(shown, build, ["image_id", "caption"], log)
    return {f"sa_{row['image_id']}.jpg": row["caption"] for row in rows if row["caption"] is not None}


def find_losses(
    survey: Survey,
    published: Build,
    shown: Published,
    before: Mapping[str, str],
    held_out: Validation | None,
    options: Options,
    workers: Workers,
    log: Callable[[str], None],
) -> Iterator[Loss]:
    """What replacing a visible build by what was looked over takes away, as far as that is known before it is built.

    Args:
        survey: what it is replaced by.
        published: the visible build of the same name.
        shown: where it can be read.
        before: its captions by file name.
        held_out: which of its images are in its second split.
        options: of the builds of this run.
        workers: who reads the sources.
        log: gets a line when something is tried again.
    """
    recipe, rows = survey.recipe, survey.rows
    if rows is None:
        return  # a stream: it is known when it was read
    kept = survey
    if recipe.kind == "train" and rows > published.rows:  # more of the same archive, maybe
        ids = {row["image_id"] for row in published_rows(shown, published, ["image_id"], log)}
        kept = only(survey, ids)
    if not _is_same(kept, published, before, held_out, workers):
        yield Loss(recipe.name, "records", published.rows, rows, _OTHER)
    else:
        yield from split_losses(survey, published, options)
    if survey.captions < published.captions:
        yield Loss(recipe.name, "captions", published.captions, survey.captions)
    if published.images and not recipe.images:
        yield Loss(recipe.name, "images", published.rows, 0)


def removal_losses(build: Build) -> list[Loss]:
    """What goes with a build that is removed."""
    numbers = {"records": build.rows, "masks": build.annotations, "captions": build.captions}
    return [Loss(build.name, what, number, 0, "removed") for what, number in numbers.items() if number]


def late_losses(
    survey: Survey,
    built: Built,
    published: Build | None,
    shown: Published | None,
    told: Sequence[Loss],
    log: Callable[[str], None],
) -> list[Loss]:
    """What turned out to be less than before, or something else, when it was built, and was not told of."""
    if published is None or shown is None or built.build.path == published.path:
        return []
    known = {loss.what for loss in told if loss.name == published.name}
    numbers = {
        "records": (published.rows, built.build.rows),
        "masks": (published.annotations, built.build.annotations),
        "captions": (published.captions, built.build.captions),
    }
    for split in ("train", VALIDATION) if published.kind == "train" and built.build.rows >= published.rows else ():
        before, after = (build.in_split(split).rows for build in (published, built.build))
        numbers[f"records of the split {split}"] = (before, after)
    losses = [
        Loss(published.name, what, before, after)
        for what, (before, after) in numbers.items()
        if after < before and what not in known and "records" not in known
    ]
    if survey.rows is None and not losses and _is_other_stream(built, published, shown, log):
        losses.append(Loss(published.name, "records", published.rows, built.build.rows, _OTHER))
    return losses


def _is_other_stream(built: Built, published: Build, shown: Published, log: Callable[[str], None]) -> bool:
    """Whether a stream held other records than the visible build: other ids, or other records where that can be told,
    which is where both are cut into the same parts and captions make no difference."""
    comparable = len(published.parts) == len(built.build.parts) and published.captions == built.build.captions
    if comparable and published.rows == built.build.rows:
        inputs = [[part.inputs for part in build.parts] for build in (published, built.build)]
        return inputs[0] != inputs[1]
    ids = {row["image_id"] for row in published_rows(shown, published, ["image_id"], log)}
    return not ids <= set(built.ids.tolist())


def refuse_losses(plan: Plan) -> None:
    """The answer where nobody is asked: nothing that is visible is taken away.

    Raises:
        TargetError: something would be.
    """
    lost = [*map(str, plan.losses), *(f"{one.what} of the card" for one in plan.card if one.state == "lost")]
    if lost:
        raise TargetError(
            f"expected an agreement to what is taken away, found none: {'; '.join(lost)}",
            where=plan.target,
            hint=f"Look at the plan, then give {option('confirm')}, a function of it that agrees: `lambda plan: True`. "
            "Nothing was changed.",
        )


def _is_same(
    survey: Survey, published: Build, before: Mapping[str, str], held_out: Validation | None, workers: Workers
) -> bool:
    """Whether a build was made from the same records, but for their captions and the number of parts."""
    # How many were rejected then does not matter: what is visible is what could go.
    candidate = Candidate(msgspec.structs.replace(published, rejected=len(survey.rejects)), None)
    as_before = with_images(with_captions(survey, before), published.images)
    return find_unchanged(as_before, Options(validation=held_out), [candidate], BadRecords(), workers) is not None
