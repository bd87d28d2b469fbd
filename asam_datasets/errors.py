"""Everything that can go wrong in a known way.

    AsamDatasetsError
    ├── SegmentationError (ValueError)    an RLE that does not describe a mask
    ├── SourceError (ValueError)          an archive that cannot be read, or not as a whole
    ├── RecordError (ValueError)          one image or its annotations; `on_bad_record="skip"` goes on
    ├── CaptionsError (ValueError)        a caption file, or captions that do not fit the archives
    ├── CatalogError (ValueError)       the catalog of evaluation sets, or a user's own
    ├── ModelError (ValueError)           a captioning model that cannot be loaded, or needs more than there is
    ├── TargetError (ValueError)          the folder or repository that is to be written
    ├── RightsError (ValueError)          a set that may not be shown to those who would see it
    ├── StreamError (ValueError)          options of samples or streams, or a state, that do not fit
    └── HubError (OSError)                the Hub refused, or was not reached

A message says where, what was expected, what was found, and what to do about it. Each class is also the builtin
that fits, so `except ValueError` written by somebody who never heard of this module still works.

Arguments of the library are named in messages by `option`. Text shows them as Python does, `on_bad_record="skip"`; the
command line spells them its own way, `--on-bad-record skip`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

__all__ = [
    "SKIP",
    "AsamDatasetsError",
    "CaptionsError",
    "CatalogError",
    "HubError",
    "ModelError",
    "RecordError",
    "RightsError",
    "SegmentationError",
    "SourceError",
    "StreamError",
    "TargetError",
    "option",
    "printable",
    "spelled",
]


Error = TypeVar("Error", bound="AsamDatasetsError")

# Of Unicode's private use area: no name of a file or a set has them, and `printable` would not let them through.
_OPTION = re.compile("\ue000([a-z_0-9]+)(?:\ue001([^\ue000-\ue002]*))?\ue002")
_PYTHON = {"public": "private=False", "format": "form"}
"""Options of the command line whose argument has another name."""


def option(name: str, value: str = "") -> str:
    """An argument of the library as a message names it: marked, so that whoever shows the message can spell it.

    Args:
        name: of the argument, such as `on_bad_record`.
        value: that it has or should have; none by default.
    """
    return f"\ue000{name}\ue001{value}\ue002" if value else f"\ue000{name}\ue002"


SKIP = option("on_bad_record", "skip")
"""The argument that goes on past bad records."""


def spelled(text: str, spell: Callable[[str, str], str] | None = None) -> str:
    """A text with its arguments spelled: as Python does, or by a function of name and value."""
    return _OPTION.sub(lambda found: (spell or _as_python)(found[1], found[2] or ""), text)


def _as_python(name: str, value: str) -> str:
    return _PYTHON.get(name, f'{name}="{value}"' if value else name)


class AsamDatasetsError(Exception):
    """Base of all known failures.

    Args:
        problem: what is wrong, in one sentence, with the expected and the found value.
        where: the place, outermost first, e.g. `"sa_000000.tar: ./sa_3.json: $.annotations[3].area"`.
        hint: what to do about it; `usual_hint` of the class by default.
    """

    usual_hint = "Correct it and run the same command again."

    def __init__(self, problem: str, *, where: str = "", hint: str = "") -> None:
        problem, hint = _from_worker(problem, hint)
        super().__init__(printable(spelled(problem)), where, printable(spelled(hint)))
        self.problem = problem
        self.where = where
        self.hint = hint or self.usual_hint

    @property
    def hint(self) -> str:
        """What to do about it, with arguments spelled as Python does; in `marked_hint` they are marked."""
        return printable(spelled(self.marked_hint))

    @hint.setter
    def hint(self, hint: str) -> None:
        self.marked_hint = hint
        self.__notes__ = [self.hint]  # which Python shows below the sentence, from 3.11 on

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self, spell: Callable[[str, str], str] | None = None) -> str:
        """Place and problem on one line, with arguments spelled as `spelled` does."""
        place = f"{self.where}: " if self.where else ""
        return printable(spelled(f"{place}{self.problem}", spell))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments do not survive the default pickling, and errors cross process borders here.
        return (_rebuild, (type(self), self.problem, self.where, self.marked_hint), self.__dict__)

    def inside(self: Error, where: str) -> Error:
        """The same error, seen from further out: `where` is put before the place."""
        return type(self)(self.problem, where=f"{where}: {self.where}" if self.where else where, hint=self.marked_hint)


def printable(text: str) -> str:
    """Text that cannot move a terminal's cursor or hide in it: names come out of archives of anybody's making."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _from_worker(problem: str, hint: str) -> tuple[str, str]:
    """The sentence and the hint, where torch makes an error again that a worker of a `DataLoader` raised: it passes the
    whole traceback of the worker as the only argument."""
    match = _WORKER.match(problem)
    return (f"{match['said']} ({match['place']})", match["hint"] or hint) if match else (problem, hint)


_WORKER = re.compile(
    r"Caught (?P<kind>\w+) in (?P<place>DataLoader worker process \d+)\.\nOriginal Traceback.*"
    r"\n[\w.]*(?P=kind): (?P<said>[^\n]+)(?:\n(?P<hint>[^\n]+))?\n?\Z",
    re.DOTALL,
)


def _rebuild(kind: type[AsamDatasetsError], problem: str, where: str, hint: str) -> AsamDatasetsError:
    return kind(problem, where=where, hint=hint)


class SegmentationError(AsamDatasetsError, ValueError):
    """A COCO RLE that does not describe a mask of its stated size."""


class SourceError(AsamDatasetsError, ValueError):
    """An archive that is missing, damaged, or holds no records."""

    usual_hint = "Check the path, or get the archive again."


class RecordError(AsamDatasetsError, ValueError):
    """One record that cannot be used. `member` names the file of it that is at fault, where that is known."""

    member = ""

    usual_hint = f"Get the archive again, or go on without this image: {SKIP}."


class CaptionsError(AsamDatasetsError, ValueError):
    """A caption file that cannot be read, or captions of images that are in no archive."""


class CatalogError(AsamDatasetsError, ValueError):
    """An entry of a catalog of evaluation sets that does not describe a set, or a set that no catalog has."""


class ModelError(AsamDatasetsError, ValueError):
    """A captioning model that cannot be loaded or run here."""


class TargetError(AsamDatasetsError, ValueError):
    """A folder or repository that cannot be the target of a publish."""


class RightsError(AsamDatasetsError, ValueError):
    """A license does not allow what was asked for."""


class StreamError(AsamDatasetsError, ValueError):
    """Options of samples or of a stream that do not fit, or the state of another stream."""

    usual_hint = "Correct the argument."


class HubError(AsamDatasetsError, OSError):
    """The Hub said no, or could not be reached."""

    usual_hint = "Check the network and the token, then run the same command again: it goes on where it stopped."

    def __str__(self) -> str:
        # OSError has a __str__ of its own, which would come first and print the tuple of arguments.
        return AsamDatasetsError.__str__(self)
