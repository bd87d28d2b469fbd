"""Who may be shown what: the license of each archive and evaluation set, and the rule for public datasets.

Everything is private unless somebody says otherwise. To show a dataset to everyone, each of its sets must be allowed
to be given on: `yes` is, `no` and `unknown` are not, and `gated` (SA-1B) is when its terms are acknowledged and the
Hub asks every reader to accept them. A set that is published without its images is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from asam_datasets.errors import RightsError, option

__all__ = [
    "OWN",
    "SA1B",
    "Holding",
    "Redistributable",
    "Rights",
    "check_history",
    "check_public",
    "needs_gate",
    "notice",
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
