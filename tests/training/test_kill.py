"""Kill -9 at random moments: the checkpoint loads every time, and the run still comes to the same end."""

import signal
import subprocess
import sys

import pytest

from tests.training.runs import ENVIRONMENT, losses, scene_data
from training.checkpoint import load_checkpoint
from training.state import CHECKPOINT_FILE

# Every second kill waits until this child has saved, so that there is progress however slow the machine is; the others
# strike at any moment, of resumption too. A child is forked after the imports, so that a kill costs no seconds of them.
_RUNNER = """
import sys, os, signal, time, random
from pathlib import Path
from tests.training.runs import train
folder, data, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
moments = random.Random(seed)
checkpoint = folder / "checkpoint.safetensors"
def saved():
    return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
for kill in range(kills):
    before = saved()
    child = os.fork()
    if child == 0:
        sys.stdout = open(os.devnull, "w")
        train(folder, data=data, save_every=1, epochs=200, decay_epochs=200)
        os._exit(0)
    waits = kill % 2 == 0
    while waits and saved() == before and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.02)
    time.sleep(0.5 * moments.random() if waits else 0.5 + 2.0 * moments.random())
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.nightly)])
def test_kills(kills, tmp_path):
    data = str(scene_data(tmp_path / "scenes", 2))
    folder = tmp_path / "run"
    line = [sys.executable, "-c", _RUNNER, str(folder), data, str(kills), "7"]
    steps = []
    with subprocess.Popen(
        line, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as runner:
        for _ in range(kills):
            assert runner.stdout.readline().strip() == str(int(signal.SIGKILL)), "killed while it trained"
            checkpoint = load_checkpoint(folder / CHECKPOINT_FILE)
            checkpoint.build()
            steps.append(checkpoint.step)
            runner.stdin.write("\n")
            runner.stdin.flush()
    assert steps == sorted(steps), "no kill loses what an earlier run saved"
    assert steps[-1] > steps[0]
    rows = losses(folder)
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
