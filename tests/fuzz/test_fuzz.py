"""A short slice of the campaign, always with the same dice; and that the campaign finds what there is to find."""

import os
import random
import signal
import tempfile

import pytest

from fuzz import campaign
from fuzz.target import Target, chance
from fuzz.targets import TARGETS


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the targets write goes where pytest cleans up."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_slice(target: Target) -> None:
    target.prepare()
    outcomes = set()
    for number in range(target.short):
        print(f"\rpython -m fuzz {target.name} --seed 0 --at {number}", end="")  # shown when it fails
        outcomes.add(target.try_one(chance(target.name, 0, number)))
    assert outcomes == {True, False}, "nothing was taken, or nothing refused"


def _ill(dice: random.Random) -> bool:
    number = dice.randrange(2**30)
    if number == _NUMBERS[2]:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == _NUMBERS[3]:
        bytearray(2**32)
    if number == _NUMBERS[5]:
        raise ValueError("no error of ours")
    if number == _NUMBERS[6]:
        while True:
            pass
    return number % 2 == 0


_NUMBERS = [chance("ill", 7, number).randrange(2**30) for number in range(10)]


def test_the_campaign_survives_what_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies, takes too much memory, hangs or fails is one finding each; the others go on."""
    monkeypatch.setattr(campaign, "CPU_S", 0.2)
    (tally,) = campaign.run([Target("ill", _ill, 0, 0)], {"ill": 10}, seed=7, workers=2)
    found = {key.split(" at ")[0]: texts[0].splitlines()[0] for key, texts in tally.findings.items()}
    assert found == {
        "signal 11": "number 2", "MemoryError": "number 3", "ValueError": "number 5", "TooSlowError": "number 6",
    }  # fmt: skip
    assert (tally.executions, tally.results + tally.refusals) == (10, 6)
    assert "| ill | 10 |" in campaign.table([tally], 1.0)


def test_dice_are_the_same_everywhere() -> None:
    assert hex(chance("masks", 0, 1).getrandbits(64)) == "0xf5232d7df041c41d"
