"""The nightly run of the pages' commands: it finds them all, and shortens those that would take long."""

import re
import shlex

import pytest

from tests.paths import ROOT
from tests.readme_commands.__main__ import PAGES
from tests.readme_commands.blocks import ELSEWHERE, commands, one
from tests.test_readme import PAGES as ALL_PAGES


def test_a_command_runs_as_written_but_small():
    made = one("pix2rt train pix2pix demo --data small -o runs/1   # three minutes")
    assert made.written == "pix2rt train pix2pix demo --data small -o runs/1"
    assert made.run.startswith(made.written + " --ngf 4")
    assert one("pix2rt train pix2pixhd demo --data a -o b").run.endswith("--workers 0")
    assert one("pix2rt train pix2pixhd global --data a -o b").run.endswith("--ngf 8")
    assert one("pix2rt info city.onnx").run == "pix2rt info city.onnx"
    assert one(". .venv/bin/activate").run == ""
    assert one("pip install '.[gpu]'").elsewhere == ELSEWHERE["pip"]
    assert not one("pipx run it").elsewhere, "whole words"


@pytest.mark.parametrize("name", PAGES)
def test_every_line_of_a_block_is_found(name):
    page = ROOT / name
    found = [command.written for command in commands(page)]
    assert found
    words = {word for command in found for word in shlex.split(command)}
    for block in re.findall(r"^```bash\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            assert set(shlex.split(line.replace("&&", " "), comments=True)) <= words, line


def test_pages_with_commands_are_all_run():
    """But the server's: its own tests run them, against a server."""
    with_blocks = {page for page in ALL_PAGES if "```bash" in page.read_text("utf-8")}
    ran = {ROOT / name for name in PAGES}
    assert with_blocks - ran == {ROOT / "runtime" / "server" / "README.md"}
    assert ran <= with_blocks
