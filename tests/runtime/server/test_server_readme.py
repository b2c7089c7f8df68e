"""runtime/server/README.md: its commands and its Python run as written, but for the port."""

import re
import shutil
import subprocess

import pytest
from PIL import Image

from runtime.server.operations import OPERATIONS
from tests.paths import ROOT
from tests.runtime.running import running

pytest.importorskip("prometheus_client", reason="the extra serve is not installed; the whole suite has it")

PAGE = (ROOT / "runtime" / "server" / "README.md").read_text(encoding="utf-8")
ASSETS = ROOT / "runtime" / "assets"
PICTURES = {
    "drawing.png": "edges2photo_input.png",
    "photo.jpg": "inpaint_photo.jpg",
    "mask.png": "inpaint_mask.png",
    "sketch.png": "faces_sketch.png",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    for name, asset in PICTURES.items():
        shutil.copy(ASSETS / asset, folder / name)
    command = re.search(r"^pix2rt (serve [a-z0-9 ]+)$", PAGE, re.MULTILINE)
    with running(folder, *command[1].split(), "--calls", "1") as service:
        service.folder = folder
        yield service


def example(name, service):
    block = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)[1]
    return block.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
def test_curl(service):
    for line in example("curl", service).strip().splitlines():
        done = subprocess.run(
            line.replace("-F image=@sketch.png", "-F image=@sketch.png -F iterations=20"),
            shell=True,
            cwd=service.folder,
            capture_output=True,
            timeout=120,
            check=True,
        )
        if "event-stream" in line:
            assert b"event: done" in done.stdout
            continue
        with Image.open(service.folder / re.search(r"-o (\S+)", line)[1]) as image:
            image.load()
            assert image.format == "PNG", line


def test_python(service, monkeypatch):
    monkeypatch.chdir(service.folder)
    exec(compile(example("python", service), "runtime/server/README.md", "exec"), {})
    with Image.open(service.folder / "photo.jpg") as image:
        image.load()
        assert image.format == "JPEG"


def test_the_list_of_operations_is_whole():
    rows = dict(re.findall(r"^\| `POST /v1/ENGINE/(\w+)` \| (.*?) \|$", PAGE, re.MULTILINE))
    assert list(rows) == [operation.name for operation in OPERATIONS]
    for operation in OPERATIONS:
        named = set(re.findall(r"`(\w+)`", rows[operation.name]))
        parts = {part.name for part in operation.parts}
        assert named <= parts | {"styles"}
        assert operation.name in ("complete", "styles") or parts == named, operation.name


def test_every_file_is_told():
    told = set(re.findall(r"`(\w+\.py)`", PAGE.partition("## The files")[2]))
    assert told == {path.name for path in (ROOT / "runtime" / "server").glob("*.py")} - {"__init__.py"}
