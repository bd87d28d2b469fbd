"""Who may be shown what: the license of each archive and evaluation set, and the rule for public datasets.

Everything is private unless somebody says otherwise. To show a dataset to everyone, each of its sets must be allowed
to be given on: `yes` is, `no` and `unknown` are not, and `gated` (SA-1B) is when its terms are acknowledged and the
Hub asks every reader to accept them. A set that is published without its images is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from asam_datasets.errors import RightsError, option

__all__ = [
    "OPEN",
    "OWN",
    "SA1B",
    "Holding",
    "Redistributable",
    "Rights",
    "check_history",
    "check_public",
    "needs_gate",
    "notice",
    "parse_license",
]

Redistributable = Literal["yes", "no", "unknown", "gated"]


class Rights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"license": "licence"}):
    """The license of a set and whether its images may be given on; `link` may be empty.

    In a manifest the first field is spelled `licence`, as datasets that are published already have it.
    """

    license: str
    link: str
    redistributable: Redistributable


SA1B = Rights("SA-1B Dataset Research License", "https://ai.meta.com/datasets/segment-anything-downloads/", "gated")
"""Meta's terms: research only, no identification of people, and who gets the images has to accept the same."""

OWN = Rights("no license named", "", "unknown")
"""Of archives that are not SA-1B's: nobody but their owner knows, and private is the default."""


_CC = "https://creativecommons.org"
OPEN: Mapping[str, str] = {
    "cc0-1.0": f"{_CC}/publicdomain/zero/1.0/",
    "cc-by-2.0": f"{_CC}/licenses/by/2.0/",
    "cc-by-3.0": f"{_CC}/licenses/by/3.0/",
    "cc-by-4.0": f"{_CC}/licenses/by/4.0/",
    "cc-by-sa-3.0": f"{_CC}/licenses/by-sa/3.0/",
    "cc-by-sa-4.0": f"{_CC}/licenses/by-sa/4.0/",
    "cc-by-nc-2.0": f"{_CC}/licenses/by-nc/2.0/",
    "cc-by-nc-4.0": f"{_CC}/licenses/by-nc/4.0/",
    "cc-by-nc-sa-4.0": f"{_CC}/licenses/by-nc-sa/4.0/",
    "cdla-permissive-1.0": "https://cdla.dev/permissive-1-0/",
    "cdla-permissive-2.0": "https://cdla.dev/permissive-2-0/",
    "cdla-sharing-1.0": "https://cdla.dev/sharing-1-0/",
    "odbl": "https://opendatacommons.org/licenses/odbl/1-0/",
    "odc-by": "https://opendatacommons.org/licenses/by/1-0/",
    "pddl": "https://opendatacommons.org/licenses/pddl/1-0/",
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "mit": "https://opensource.org/license/mit",
}
"""Licenses that let everybody give images on, by the name that the Hub has for them, and where they can be read."""

_SA1B_NAME = "sa-1b"
_MOST_LETTERS = 200


def parse_license(name: str, link: str | None = None) -> Rights:
    """The rights to somebody's own images.

    Args:
        name: one of `OPEN`, or `sa-1b`, or the name of any other license: whether images may be given on under that one
            counts as unknown.
        link: its web page; that of `OPEN` if not given.

    Raises:
        RightsError: no name, one that is no single line, or a link that is no web page.
    """
    name = name.strip()
    if not 0 < len(name) <= _MOST_LETTERS or not name.isprintable():
        raise RightsError(
            f"expected the name of a license in one line, found {name[:80]!r}",
            where=option("license"),
            hint=f"Such as {', '.join(list(OPEN)[:4])}, or the name of your own terms.",
        )
    if link is not None and not link.casefold().startswith(("http://", "https://")):
        raise RightsError(
            f"expected the address of a web page, found {link[:80]!r}",
            where=option("license_link"),
            hint="It begins with https://.",
        )
    known = name.casefold()
    if known == _SA1B_NAME:
        return SA1B
    if known in OPEN:
        return Rights(known, link or OPEN[known], "yes")
    return Rights(name, link or "", "unknown")


class Holding(NamedTuple):
    """One set of a dataset, as far as rights go; `images` tells whether its images are in it."""

    name: str
    rights: Rights
    images: bool


def needs_gate(holdings: Iterable[Holding]) -> bool:
    """Whether one of the sets may be shown only to readers who accept its terms."""
    return any(holding.images and holding.rights.redistributable == "gated" for holding in holdings)


def notice(rights: Rights) -> str:
    """What somebody has to know who is handed images of a set; nothing where they may go to everyone."""
    return "" if rights.redistributable == "yes" else _why(rights)


def check_public(holdings: Iterable[Holding], *, terms_accepted: bool) -> None:
    """Check that everyone may be shown these sets.

    Args:
        holdings: all sets that the dataset will consist of.
        terms_accepted: whether the publisher acknowledged SA-1B's terms; its sets then go behind a gate.

    Raises:
        RightsError: names each set that is in the way, and the ways out.
    """
    refused = [
        holding
        for holding in holdings
        if holding.images
        and holding.rights.redistributable != "yes"
        and not (holding.rights.redistributable == "gated" and terms_accepted)
    ]
    if not refused:
        return
    names = [one.name for one in refused]
    reasons = ", ".join(f"{one.name} ({_why(one.rights)})" for one in refused)
    ways = [
        f"publish privately ({option('private')})",
        f"leave them out ({option('remove', 'NAME')} where they are published already)",
        f"or publish their masks without the images ({option('annotations_only', ' '.join(names))})",
    ]
    if any(one.rights.redistributable == "gated" for one in refused):
        ways.insert(
            0, f"acknowledge SA-1B's terms ({option('accept_sa1b_terms')}), which puts the dataset behind a gate"
        )
    raise RightsError(
        f"expected sets that everyone may be shown, found {len(refused)} that may not: {reasons}",
        hint=f"Ways out: {'; '.join(ways)}.",
    )


def check_history(holdings: Iterable[Holding], *, terms_accepted: bool) -> None:
    """Check that everyone may be shown what a repository ever held: old commits stay readable.

    Raises:
        RightsError: names what is in the way.
    """
    try:
        check_public(holdings, terms_accepted=terms_accepted)
    except RightsError as error:
        raise RightsError(
            error.problem.replace("expected sets", "expected a history of sets", 1),
            where="the commits, branches, tags and pull requests of the repository",
            hint="Who may see a repository may load every commit of it: publish to a new repository, delete this one, "
            f"or acknowledge SA-1B's terms where only those are in the way ({option('accept_sa1b_terms')}).",
        ) from None


def _why(rights: Rights) -> str:
    return {
        "gated": f"{rights.license}: only to readers who accept its terms",
        "no": f"{rights.license}: its images may not be given on",
        "unknown": f"{rights.license}: nobody knows whether its images may be given on, which counts as no",
    }[rights.redistributable]
