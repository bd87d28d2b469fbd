"""What people read of a thousand archives is a page, and of a few each of them."""

from __future__ import annotations

import dataclasses

import pytest

from asam_datasets.cli._publish_text import fold, plan_text, summary_text
from asam_datasets.publish import Loss, Plan, PlannedBuild, Summary
from asam_datasets.release import Changes, Load, footprint

GB = 10**9


def build(number: int, state: str = "new") -> PlannedBuild:
    return PlannedBuild(
        name=f"sa_{number:06}", kind="train", splits=("train",), state=state, to_build=state == "new",  # type: ignore[arg-type]
        source=f"sa_{number:06}.tar", rows=11_186, files=32, size_bytes=11 * GB, published=None,
    )  # fmt: skip


def plan(*builds: PlannedBuild, losses: tuple[Loss, ...] = (), private: bool = True) -> Plan:
    sent = [Load(12 * GB, 33) for one in builds if one.state == "new"]
    return Plan(
        target="https://huggingface.co/datasets/xhk/x", remote=True, readers="private", public=False,
        destructive=bool(losses), replaces_foreign=False, configs=["train", "sam"], builds=builds,
        transfer_bytes=len(sent) * 12 * GB, missing_ids=[], losses=losses,
        footprint=footprint([], 0, sent, changes=True, private=private),
    )  # fmt: skip


def test_a_few_builds_are_all_shown() -> None:
    lines = plan_text(plan(*map(build, range(20))))
    assert sum("sa_0000" in line for line in lines) == 20
    assert not any("more" in line for line in lines)


def test_a_thousand_builds_fold() -> None:
    builds = [*map(build, range(995)), *(build(number, "kept") for number in range(995, 999)), build(999, "removed")]
    losses = tuple(Loss(f"sa_{n:06}", what, 100, n % 2, "removed") for n in range(200) for what in ("records", "masks"))
    lines = plan_text(plan(*builds, losses=losses))
    assert len(lines) < 50
    text = "\n".join(lines)
    assert "new      995     11,130,070  31,840  10.9 TB" in text
    assert "removed  1       11,186      32      11.0 GB" in text
    assert "in all: records 20,000 → 100" in text
    assert text.count("--json has all") == 2
    assert "and 990 more" in text
    assert "and 390 more" in text
    shown = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0].startswith("sa_")]
    assert shown[0] == "sa_000999"  # what goes comes first


def test_the_plan_says_what_it_takes_of_the_hub() -> None:
    text = "\n".join(plan_text(plan(*map(build, range(1000)))))
    assert "The repository then takes about 12.0 TB in 33,000 files: Team with 12 seats or more" in text
    assert "At most 1,006 commits; the Hub's quota makes that 7 hours at least." in text
    text = "\n".join(plan_text(plan(build(1))))
    assert "12.0 GB in 33 files: a free account holds it." in text
    assert "At most 3 commits." in text


@pytest.mark.parametrize(
    ("terabytes", "private", "holds"),
    [
        (0.1, True, "a free account"),
        (0.11, True, "PRO"),
        (1.5, True, "Team with 2 seats or more, or storage that is paid by use"),
        (0.001, False, "PRO"),
        (11, False, "Team"),
        (12.5, False, "Team with 1 seat or more"),
        (14.5, False, "Team with 3 seats or more"),
    ],
)
def test_which_plan_holds_it(terabytes: float, private: bool, holds: str) -> None:
    size = int(terabytes * 10**12)
    assert footprint([Load(size // 2, 1)], size - size // 2, [], changes=False, private=private).plan == holds


def test_small_builds_share_commits_and_what_is_too_much_is_said() -> None:
    taken = footprint([], 0, [Load(1000, 5)] * 101, changes=True, private=True)
    assert (taken.commits, taken.files, taken.storage_bytes) == (3 + 2, 505, 101_000)
    assert taken.notes == []
    taken = footprint([Load(1, 9)] * 10_001, 0, [Load(1000, 33)] * 1_000, changes=True, private=True)
    assert ["files are more than" in note or "builds are more than" in note for note in taken.notes] == [True, True]
    assert footprint([], 0, [Load(None, None)], changes=True, private=True).commits is None


def test_a_summary_folds() -> None:
    folders = [f"data/train/sa_{number:06}-0123456789abcdef" for number in range(994)]
    done = Summary(
        target="x", location="x", revision=None, configs=["train"], rows=1, annotations=1, captions=0, size_bytes=1,
        changes=Changes(added=folders, unchanged=folders[:3]), missing_ids=[], dropped=0, without_caption=0, turned={},
        warnings=folders, rejected=0, rejects=None, seconds=1.0,
    )  # fmt: skip
    lines = summary_text(done)
    assert len(lines) < 35
    assert "  new        994 builds:" in lines
    assert lines.count("  and 984 more (--json has all)") == 2
    assert sum("unchanged" in line for line in lines) == 3
    few = summary_text(dataclasses.replace(done, changes=Changes(added=folders[:20]), warnings=[]))
    assert sum("sa_" in line for line in few) == 20


def test_folding() -> None:
    assert fold([]) == []
    assert fold(map(str, range(20))) == [str(n) for n in range(20)]
    assert fold(f"  {n}" for n in range(21)) == [*(f"  {n}" for n in range(10)), "  and 11 more (--json has all)"]
