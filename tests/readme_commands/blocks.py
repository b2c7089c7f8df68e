"""The commands of a page, as written and as they are run here: on small data, with small networks, for a few steps."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FEW_STEPS = "--epochs 1 --decay-epochs 0 --workers 0"
_NARROW = f"--ngf 4 --ndf 4 {_FEW_STEPS}"
# Options added at a command's end, where the last of one name counts; the longest beginning that fits.
SMALLER = {
    "pix2rt data scenes": "--count 2",
    "pix2rt data faces": "--count 4",
    "pix2rt data textures": "--count 4",
    "pix2rt train pix2pix": _NARROW,
    "pix2rt train pix2pixhd": _NARROW,
    "pix2rt train pix2pixhd global": f"{_NARROW} --ngf 8",  # twice that of the enhancer around it
    "pix2rt train contextual_gan": f"--batch-size 2 {_NARROW}",
    "pix2rt train feature_network": _FEW_STEPS,
    "pix2rt train inpainting": f"--batch-size 2 --infer-ngf 2 --translate-ngf 2 --n-blocks 1 --ndf 4 {_FEW_STEPS}",
    "pix2rt train segmenter": _FEW_STEPS,
    "pix2rt study ablation": _NARROW,
    "pix2rt study completion": "--items 2 --iterations 3",
    "pix2rt study style": "--items 2 --iterations 3",
    "pix2rt study hint": "--items 2 --iterations 3",
    "pix2rt study attribute": "--items 1 --iterations 3",
    "pix2rt study sketch": "--items 2",
    "pix2rt study inpainting": "--items 2",
    "pix2rt complete": "--iterations 3",
    "pix2rt bench": "--runs 2 --warmup 1",
    "pix2rt report eager": "--turns 1",
    "pix2rt report completion": "--turns 1",
    "pix2rt report burden": "--sizes 256x256 --runs 1",
}
# What does not run here, and where it does.
ELSEWHERE = {
    "pip": ".ci/run makes the environments",
    "python3 -m venv": ".ci/run runs it",
    ".venv/bin": ".ci/run runs it",
    ". .venv/bin": ".ci/run makes the environments",
    ".venv-test/bin": ".ci/run runs it",
    "pix2rt serve": "tests/runtime/server/test_server_readme.py runs it",
    "pix2rt translate edges2photo drawings/ -o photos --ray": "tests/runtime/server/test_cluster.py runs it",
    "curl": "tests/runtime/server/test_server_readme.py runs it",
    "hey": "it needs the server of another terminal",
    "serve run": "tests/runtime/server/test_ray_serve.py runs it",
    "python -m export gpu-suite": "it needs an NVIDIA GPU",
    "python -m export gpu-report": "it needs an NVIDIA GPU",
    "python -m pytest -m gpu": "it needs an NVIDIA GPU",
}


@dataclass(frozen=True)
class Command:
    """One command of a block: `written` in the page, and `run` here; "" where `elsewhere` says why not."""

    written: str
    run: str
    elsewhere: str = ""


def commands(page: Path) -> list[Command]:
    """Of the page's bash blocks and its lines that are one command, in their order."""
    text = page.read_text(encoding="utf-8")
    found: list[Command] = []
    for block, line in re.findall(r"^```bash\n(.*?)^```|^`(pix2rt [^`\n]+)`$", text, re.DOTALL | re.MULTILINE):
        whole = re.sub(r"\\\n\s*|(?<=&&)\s*\n", " ", block or line)
        found += [one(part) for row in whole.splitlines() for part in row.split("&&") if _words(part)]
    return found


def one(written: str) -> Command:
    """A command without its comment."""
    words = _words(written)
    written = shlex.join(words)
    elsewhere = _of(words, ELSEWHERE)
    if elsewhere:
        return Command(written, "", elsewhere)
    return Command(written, " ".join(filter(None, (written, _of(words, SMALLER)))))


def _words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def _of(words: list[str], table: dict[str, str]) -> str:
    """The value of the longest key that begins the command, as whole words or as a folder."""
    text = " ".join(words)
    fitting = [key for key in table if f"{text} ".startswith((f"{key} ", f"{key}/"))]
    return table[max(fitting, key=len)] if fitting else ""
