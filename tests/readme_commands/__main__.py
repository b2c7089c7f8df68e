"""python -m tests.readme_commands [PAGE…]: run every command of the pages; exit code 1 where one fails.

All pages in one folder, because later ones use what earlier ones make.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.paths import ROOT
from tests.readme_commands.blocks import Command, commands
from tests.readme_commands.folder import fill

PAGES = ("README.md", "training/README.md", "training/RESULTS.md", "export/README.md", "runtime/bench/README.md")
_LIMIT_S = 900
_SHOWN_LINES = 12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", default=PAGES, help=f"default: {' '.join(PAGES)}")
    parser.add_argument("--keep", type=Path, help="folder to run in, and to leave as it is then")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        for page in options.pages:
            fill(folder)
            print(f"\n{page}, in {folder}", flush=True)
            failed += sum(not _succeeds(command, folder) for command in commands(ROOT / page))
    print(f"\n{failed} commands failed")
    return 1 if failed else 0


def _succeeds(command: Command, folder: Path) -> bool:
    if command.elsewhere:
        print(f"  not here  {command.written}: {command.elsewhere}")
        return True
    started = time.monotonic()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command.run,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path, "PIX2RT_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    print(f"  {time.monotonic() - started:6.1f} s  {command.run}", flush=True)
    if done.returncode:
        lines = done.stdout.splitlines()[-_SHOWN_LINES:]
        print("\n".join([f"  FAILED with {done.returncode}:", *(f"    {line}" for line in lines)]), flush=True)
    return not done.returncode


if __name__ == "__main__":
    sys.exit(main())
