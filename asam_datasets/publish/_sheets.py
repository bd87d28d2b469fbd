"""The sheets of a few records that stand on the card: drawn while their parts are there, and once.

Only sets are shown that everybody may see (`first_shown`). A sheet that is in the target already is not drawn again:
its name says which build it shows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import UNSET

from asam_datasets.builds import Build, Built, in_run
from asam_datasets.errors import AsamDatasetsError
from asam_datasets.preview import preview
from asam_datasets.progress import Listener
from asam_datasets.publish._inspect import Run
from asam_datasets.published import README, encode_index
from asam_datasets.release import (
    SHEET_ROWS,
    Sheet,
    Showing,
    Words,
    first_shown,
    render_card,
    wanted_sheets,
)
from asam_datasets.rights import Holding
from asam_datasets.tables import Kind

_ROWS = f"0:{SHEET_ROWS}"


class Sheets:
    """Draws the sheets of one run.

    Args:
        run: what is going to be published.
        listener: hears of a sheet that cannot be drawn, which is no reason to publish nothing.
    """

    def __init__(self, run: Run, listener: Listener) -> None:
        self.drawn: dict[str, bytes] = {}
        self._run = run
        self._listener = listener
        self._chosen = first_shown(_holdings(run))
        shown = run.target.shown() if self._chosen else None
        self._present = frozenset(shown.files()) if shown is not None else frozenset()

    def offer(self, built: Built) -> None:
        """Draw the sheet of a build that was just made, if it is wanted; its parts may be gone later."""
        build = built.build
        if self._chosen.get(build.kind) == build.name and built.folder is not None:
            self._draw(wanted_sheets([build])[build.kind], built.folder)

    def complete(self, built: Sequence[Built]) -> Mapping[str, bytes]:
        """Draw what is still wanted of builds that the target shows; all sheets of this run, by path."""
        made = {one.build.name: one.build for one in built}
        kept = [one for one in self._run.current if one.name not in made.keys() | self._run.removed]
        for sheet in wanted_sheets([*kept, *made.values()]).values():
            folder = self._run.target.path / sheet.build.path
            if not self._run.target.is_remote and folder.is_dir():
                self._draw(sheet, folder)
            elif self._run.target.is_remote:
                self._draw(sheet, None)
        return self.drawn

    def _draw(self, sheet: Sheet, folder: Path | None) -> None:
        if sheet.path in self.drawn or sheet.path in self._present:
            return
        try:
            content = self._draw_shown(sheet.build) if folder is None else draw_build(sheet.build, folder)
        except AsamDatasetsError as error:
            self._listener.on_stage(f"No sheet of {sheet.build.name} for the card: {error}")
            return
        if content is not None:
            self.drawn[sheet.path] = content

    def _draw_shown(self, build: Build) -> bytes | None:
        """Draw a set out of what the repository shows now; None where it does not show it. An archive is one of many in
        its config: its rows have other numbers there, and the same sheet would have other bytes."""
        shown = self._run.target.shown()
        if build.kind != "evaluation" or shown is None or build.path not in {one.path for one in self._run.current}:
            return None
        if Path(shown.location.place).is_dir():  # a folder of that name is not the repository
            return None
        return _preview(shown.location.place, _config(build), _ROWS, shown.location.commit)


def draw_build(build: Build, folder: Path) -> bytes | None:
    """Draw the first records of a build whose parts lie in a folder; None where some are gone.

    Raises:
        AsamDatasetsError: a record cannot be shown.
    """
    if not all((folder / part.file).is_file() for part in build.parts):
        return None
    alone = in_run(build, UNSET)
    with tempfile.TemporaryDirectory(prefix="asam_datasets-") as place:
        index, content = encode_index([alone], ())
        showing = Showing(frozenset({alone.path}), frozenset(), index)
        (Path(place) / alone.path).parent.mkdir(parents=True)
        (Path(place) / alone.path).symlink_to(folder.resolve(), target_is_directory=True)
        (Path(place) / index).write_bytes(content)
        text = render_card([alone], showing, location=place, words=Words(build.name))
        (Path(place) / README).write_text(text, "utf-8")
        return _preview(place, _config(alone), _ROWS, None)


def _preview(dataset: str, config: str, rows: str, revision: str | None) -> bytes:
    with tempfile.TemporaryDirectory(prefix="asam_datasets-") as place:
        out = Path(place) / "sheet.webp"
        preview(dataset, out=out, config=config, rows=rows, revision=revision)
        return out.read_bytes()


def _config(build: Build) -> str:
    """The config that shows it, and where it is alone, nothing else."""
    return build.kind if build.kind == "train" else build.name


def _holdings(run: Run) -> list[tuple[Kind, Holding]]:
    given = {survey.recipe.name: survey.recipe for survey in run.surveys}
    kept = [(one.kind, one.holding) for one in run.current if one.name not in given.keys() | run.removed]
    return kept + [(one.kind, Holding(one.name, one.rights, one.images)) for one in given.values()]
