"""What a sheet and a page are asked for, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asam_datasets.builds import Build
from asam_datasets.rights import notice
from asam_datasets.tables import Config


@dataclass(frozen=True)
class Shown:
    """The rows that are shown: `rows` of the `total` of a config, which lie in some builds of a dataset."""

    dataset: str
    config: Config[Build]
    rows: range
    total: int
    builds: Sequence[Build]

    @property
    def title(self) -> str:
        """The config, and the numbers of the rows."""
        numbers = f"row {self.rows.start}" if len(self.rows) == 1 else f"rows {self.rows.start} to {self.rows[-1]}"
        return f"{self.config.name}: {numbers} of {self.total:,}"

    @property
    def images(self) -> bool:
        """Whether any of the rows was published with its image."""
        return any(build.images for build in self.builds)

    @property
    def notices(self) -> tuple[str, ...]:
        """Of each set whose images are shown and may not be given to everyone: its name, and why."""
        if "image" not in self.config.columns:
            return ()
        said = {build.name: notice(build.rights) for build in self.builds if build.images}
        return tuple(f"{name}: {text}" for name, text in said.items() if text)


@dataclass(frozen=True)
class Drawn:
    """The bytes of a sheet or page, the number of masks of its rows, and its size in pixels if it has one."""

    content: bytes
    masks: int
    height: int | None
    width: int | None
