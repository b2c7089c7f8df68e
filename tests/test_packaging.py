"""What the project says it needs, and what its tests run with."""

import re
import shutil
import subprocess
import tomllib

from tests.paths import ROOT


def floors(requirements):
    """Name → lowest version, of `name>=version`."""
    return dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups() for requirement in requirements)


def padded(version):
    return (version + ".0.0").split(".")[:3]


def test_the_hostile_run_knows_what_is_asked_of_it():
    script = ROOT / ".ci" / "hostile"
    known = set(re.findall(r"^ +(\w+) \| (\w+)\) \w+=\$1", script.read_text("utf-8"), re.MULTILINE))
    assert known == {("lean", "whole"), ("oldest", "newest")}
    nightly = ROOT / ".ci" / "nightly"
    asked = re.findall(r"\.ci/hostile((?: [a-z]+)*)", nightly.read_text("utf-8"))
    assert [words.split() for words in asked] == [["whole", "oldest"], ["whole", "newest"]]
    if shutil.which("bash"):
        for one in (script, nightly):
            subprocess.run(["bash", "-n", str(one)], check=True, timeout=60)


def test_the_oldest_versions_that_are_allowed_are_those_that_are_tested():
    """`.ci/hostile` installs what `.ci/oldest.txt` says: exactly the floors of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / ".ci" / "oldest.txt").read_text("utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    allowed = floors(project["dependencies"])
    assert {name: padded(version) for name, version in tested.items()} == {
        name: padded(version) for name, version in allowed.items()
    }
