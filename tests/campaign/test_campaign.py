"""The campaign itself: intact files are read, damage can be repeated, and no kind of trouble goes unnoticed."""

import os
import signal
import time

import pytest

from runtime.errors import ImageFileError
from tests.campaign import worker
from tests.campaign.campaign import Campaign
from tests.campaign.kinds import KINDS, Kind
from tests.campaign.worker import case, trouble

COUNT = 40


@pytest.fixture(params=KINDS)
def kind(request):
    found = KINDS[request.param]
    if found.missing:
        pytest.skip(f"{', '.join(found.missing)} not installed")
    return found


def plant_numbers(folder):
    for number in range(4):
        (folder / f"{number}.txt").write_text(str(number))


def same(rng, path, other=b""):
    return path.read_bytes()


def misbehave(path, folder):
    """What the file says."""
    number = path.read_text()
    if number == "1":
        raise KeyError("not documented")
    if number == "2":
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == "3":
        bytearray(worker.MEMORY * 2)
    raise ImageFileError("documented")


def misbehave_at_damage(path, folder):
    """The intact files are read before the campaign begins; only cases, whose names begin with a number, misbehave."""
    return None if path.parent != folder else misbehave(path, folder)


def hang(path, folder):
    while path.parent == folder:
        pass


def test_intact_files_are_read_and_damage_can_be_repeated(kind, tmp_path):
    intact, folder = tmp_path / "intact", tmp_path / "folder"
    intact.mkdir()
    folder.mkdir()
    kind.plant(intact)
    assert [found for path in intact.iterdir() if (found := trouble(kind, path, folder))] == []
    cases = [case(kind, intact, 5, index) for index in range(COUNT)]
    assert cases[::-1] == [case(kind, intact, 5, index) for index in reversed(range(COUNT))], "none changes the next"
    assert cases != [case(kind, intact, 6, index) for index in range(COUNT)]
    originals = {path.read_bytes() for path in intact.iterdir()}
    assert sum(content not in originals for _, content in cases) > 0.8 * COUNT


def test_nothing_but_documented_errors(kind, tmp_path):
    """A few of each kind; `.ci/run` reads for a minute, a night is `python -m tests.campaign --count 50000`."""
    campaign = Campaign([kind], 11, tmp_path / "kept")
    campaign.run(range(COUNT), seconds=120, workers=1, tell=print)
    assert campaign.findings == []
    assert campaign.counts == {kind.name: COUNT}
    assert not (tmp_path / "kept").exists()


def test_all_trouble_is_found_and_kept(tmp_path):
    kind = Kind("traps", plant_numbers, misbehave_at_damage, same)
    campaign = Campaign([kind], 0, tmp_path / "kept")
    campaign.run(range(COUNT), seconds=120, workers=2, tell=lambda finding: None)
    assert campaign.counts == {"traps": COUNT}
    said = {finding.file.read_text(): finding.what for finding in campaign.findings}
    assert sorted(said) == ["1", "2", "3"]
    assert "KeyError: 'not documented'" in said["1"]
    assert "crash: signal SIGSEGV" in said["2"]
    assert "misbehave" in said["2"], "where it was, as faulthandler saw it"
    assert "MemoryError" in said["3"]


def test_what_takes_for_ever_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.campaign.campaign._WALL_SECONDS", 2)
    campaign = Campaign([Kind("traps", plant_numbers, hang, same)], 0, tmp_path)
    started = time.monotonic()
    campaign.run(range(2), seconds=60, workers=1, tell=lambda finding: None)
    assert [finding.what.split(":")[0] for finding in campaign.findings] == ["time-out", "time-out"]
    assert time.monotonic() - started < 60


def test_a_campaign_ends_with_its_time(tmp_path):
    campaign = Campaign([Kind("traps", plant_numbers, same, same)], 0, tmp_path)
    campaign.run(range(10**6), seconds=0, workers=1, tell=print)
    assert campaign.counts == {"traps": 0}
