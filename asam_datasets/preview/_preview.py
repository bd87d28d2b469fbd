"""Rows of a published dataset, drawn: see `asam_datasets.preview`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.errors import TargetError, option
from asam_datasets.machine import AnyPath, path_of, write_atomically, write_errors
from asam_datasets.preview._options import PreviewOptions
from asam_datasets.preview._page import ENDING, draw_page
from asam_datasets.preview._rows import ON_A_PAGE, ON_A_SHEET, Record, find_rows, read_records
from asam_datasets.preview._shown import Shown
from asam_datasets.preview._still import FORMATS, draw_still
from asam_datasets.progress import Listener
from asam_datasets.published import one_split, open_dataset, parse_range


@dataclass(frozen=True)
class Preview:
    """What `preview` drew: rows `start` to before `stop` of the `total` that the config has, and all of their masks.
    `height` and `width` are those of a sheet in pixels, None for a page. `notices` name the sets whose images are shown
    and may not be given to everyone."""

    out: str
    dataset: str
    config: str
    start: int
    stop: int
    total: int
    masks: int
    height: int | None
    width: int | None
    size_bytes: int
    seconds: float
    notices: tuple[str, ...] = ()


def preview(
    dataset: AnyPath,
    *,
    out: AnyPath,
    config: str | None = None,
    rows: str | int = "0:12",
    revision: str | None = None,
    options: PreviewOptions | None = None,
    listener: Listener | None = None,
) -> Preview:
    """Draw rows of a published dataset: a still sheet, or a page to look into.

    A sheet has image, conditioning image, masks and caption of every row. A page is one file for a browser, which
    needs no server and no network: masks light up and show their numbers, and are filtered; images are searched. Masks
    have colors of their own, which are not those of the conditioning image. Rows that were published without their
    image have their masks on a neutral ground. The same rows give the same bytes, from a folder as from the Hub.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub. Only the row groups that hold the rows
            are read, and of them only the columns that are shown.
        out: the sheet: `.png`, `.jpg`, `.jpeg` or `.webp`; or the page: `.html`. A file of that name is replaced, at
            once and whole.
        config: what `load_dataset` calls so; by default its default, `train`, or `evaluation` without archives.
        rows: `0:12`, `4:`, or one number, over all parts of the config; at most `MAX_ROWS`.
        revision: of the repository; `main` by default.
        options: which masks are drawn, and how.
        listener: who follows the run.

    Raises:
        SourceError: no such dataset, config or rows, or a part is damaged.
        RecordError: a row that cannot be shown; the message names it.
        TargetError: `out` cannot be written.
        HubError: the Hub refused, or was not reached.
    """
    listener, options, started = listener or Listener(), options or PreviewOptions(), time.monotonic()
    out = path_of(out)
    ending = _check_target(out)
    parse_range(rows)  # before anything is fetched
    listener.on_stage(f"Looking at {dataset}")
    opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
    chosen_config = one_split(opened.config(config), None, opened.published.url)  # what stock readers count
    chosen, total, spans = find_rows(opened, chosen_config, rows)
    builds = list({span.build.name: span.build for span in spans}.values())
    shown = Shown(opened.published.url, chosen_config, chosen, total, builds)
    listener.on_total(len(chosen))
    columns = ON_A_PAGE if ending == ENDING else ON_A_SHEET
    records = _followed(read_records(opened, chosen_config, spans, listener.on_stage, columns=columns), listener)
    drawn = draw_page(shown, records, options) if ending == ENDING else draw_still(shown, records, options, ending)
    with write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, drawn.content)
    return Preview(
        out=str(out),
        dataset=shown.dataset,
        config=chosen_config.name,
        start=chosen.start,
        stop=chosen.stop,
        total=total,
        masks=drawn.masks,
        height=drawn.height,
        width=drawn.width,
        size_bytes=len(drawn.content),
        seconds=time.monotonic() - started,
        notices=shown.notices,
    )


def _followed(records: Iterable[Record], listener: Listener) -> Iterator[Record]:
    """The same records, each told when it is done with."""
    for record in records:
        yield record
        listener.on_records(1)


def _check_target(out: Path) -> str:
    """How the name of a sheet or page ends.

    Raises:
        TargetError: no known format, or a folder.
    """
    if out.is_dir():
        raise TargetError(
            "expected a file, found a folder", where=str(out), hint=f"Give a file as {option('out')}: sheet.png."
        )
    ending = out.suffix.lower()
    if ending not in (*FORMATS, ENDING):
        raise TargetError(
            f"expected a name that ends with {', '.join((*FORMATS, ENDING))}, found {out.name!r}",
            where=option("out"),
            hint="Give a file such as sheet.png or page.html.",
        )
    return ending
