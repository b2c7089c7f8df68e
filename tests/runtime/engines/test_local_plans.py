"""Plans built where they run: kept, found again, rebuilt when what they depend on changes; one process builds."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import runtime
from runtime.engines import local_plans
from runtime.engines.backend import Device
from runtime.engines.engine import choices, open_engine
from runtime.engines.local_plans import local_plan, plan_path
from runtime.engines.onnx_metadata import read_spec
from runtime.engines.plan import Profile, json_path
from runtime.engines.plan_builder import build_plan
from runtime.engines.plan_cache import locked
from runtime.engines.source import EngineSource
from runtime.errors import DeviceError, InputError, OutputError, PlanError
from tests.paths import ROOT
from tests.runtime import tiny_engines
from tests.runtime.engines.stand_in import MODULES

GPU = Device("cuda")


@pytest.fixture
def onnx(tmp_path):
    return tiny_engines.synthesizer(tmp_path / "city.onnx")


def got(onnx, **options):
    source = EngineSource.of(onnx)
    return local_plan(source, read_spec(source), GPU, **options)


def where(onnx, **options):
    source = EngineSource.of(onnx)
    return plan_path(source, read_spec(source), GPU, **options)


def cache(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir() if path.suffix == ".engine")


@pytest.mark.parametrize("flavor", ["tensorrt", "tensorrt-rtx"])
def test_built_once_and_found_again(machine, tmp_path, onnx, flavor):
    plan = got(onnx, flavor=flavor)
    assert got(onnx, flavor=flavor) == plan
    assert machine.calls["build_serialized_network"] == 1
    assert where(onnx, flavor=flavor).read_bytes() == plan.data


def test_rebuilt_when_what_it_depends_on_changes(machine, tmp_path, onnx, monkeypatch):
    dynamic = tiny_engines.synthesizer(tmp_path / "any.onnx", size=None, batch="N")
    other = tiny_engines.synthesizer(tmp_path / "other.onnx", inst=True)
    paths = {where(onnx), where(other), where(dynamic), where(onnx, flavor="tensorrt-rtx")}
    paths.add(where(dynamic, profile=Profile((1, 8, 8), (1, 8, 8), (4, 64, 64))))
    machine.gpus = ["NVIDIA GeForce RTX 5090"]
    paths.add(where(onnx))
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "11.5.0")
    paths.add(where(onnx))
    assert len(paths) == 7


def test_the_name_does_not_depend_on_the_files_place(machine, tmp_path, onnx):
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(onnx.read_bytes())
    source = EngineSource.of(onnx.read_bytes())
    assert where(onnx) == where(moved) == plan_path(source, read_spec(source), GPU)


@pytest.mark.parametrize("damage", ["json", "plan", "half"])
def test_a_damaged_entry_is_built_anew(machine, onnx, damage):
    plan, path = got(onnx), where(onnx)
    if damage == "json":
        json_path(path).unlink()
    else:
        path.write_bytes(plan.data[: len(plan.data) // 2] if damage == "half" else b"rubbish")
    assert got(onnx) == plan
    assert machine.calls["build_serialized_network"] == 2


def test_the_least_recently_used_go(machine, tmp_path, monkeypatch):
    engines = [tiny_engines.synthesizer(tmp_path / f"{n}.onnx", smallest=8 * n + 8) for n in range(4)]
    size = len(got(engines[0]).data)
    monkeypatch.setenv("PIX2RT_CACHE_BYTES", str(3 * size + size // 2))
    for count, engine in enumerate(engines[:3]):
        got(engine)
        os.utime(where(engine), (1000 + count, 1000 + count))
    got(engines[0])  # used just now
    got(engines[3])
    assert cache(tmp_path) == sorted(where(engines[n]).name for n in (0, 2, 3))
    assert not json_path(where(engines[1])).exists()
    monkeypatch.setenv("PIX2RT_CACHE_BYTES", "1")
    got(engines[1])
    assert cache(tmp_path) == [where(engines[1]).name]  # the newest always stays
    monkeypatch.setenv("PIX2RT_CACHE_BYTES", "much")
    with pytest.raises(OutputError, match="PIX2RT_CACHE_BYTES is 'much', expected a number"):
        got(engines[2])


def test_timings_are_kept_for_full_tensorrt_alone(machine, tmp_path, onnx):
    """The stand-in punishes a timing cache that TensorRT-RTX is given."""
    got(onnx, flavor="tensorrt-rtx")
    assert not list((tmp_path / "cache").glob("*.timing"))
    got(onnx, flavor="tensorrt")
    (kept,) = (tmp_path / "cache").glob("tensorrt-11.4.0.106-NVIDIA_GeForce_RTX_4090.timing")
    assert kept.read_bytes().startswith(b"timings")
    kept.write_bytes(b"of another driver")
    got(tiny_engines.synthesizer(tmp_path / "other.onnx", inst=True), flavor="tensorrt")
    assert kept.read_bytes().startswith(b"timings")


def test_kernels_of_rtx_are_kept(machine, tmp_path, onnx):
    given = {"label_map": np.zeros((1, 16, 32), np.uint8)}
    path = tmp_path / "city.engine"
    build_plan(EngineSource.of(onnx), read_spec(onnx), flavor="tensorrt-rtx").write(path, read_spec(onnx))
    for _ in range(2):
        engine = open_engine(path)
        engine.run(given)
        engine.close()
    (kept,) = (tmp_path / "cache").glob("*.kernels")
    assert b"label_map" in kept.read_bytes()


def test_a_folder_that_cannot_be_written(machine, tmp_path, onnx, monkeypatch):
    """A runner works without the cache and says so; who asks for the plan itself gets an error."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIX2RT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match=r"cache folder .* cannot be written.*PIX2RT_CACHE"):
        got(onnx)
    with runtime.Synthesizer(onnx, "cuda", backend="tensorrt") as synthesizer:
        assert len(synthesizer.skipped) == 1
        assert "built for this process alone" in synthesizer.skipped[0]
        synthesizer.warm_up()


def test_another_process_builds(machine, tmp_path, onnx, monkeypatch):
    """Who comes second waits, and finds what the first one built."""
    plan = got(onnx)
    path = where(onnx)
    kept = {one: one.read_bytes() for one in (path, json_path(path))}
    for one in kept:
        one.unlink()
    with locked(path, 0):
        monkeypatch.setattr(local_plans, "WAIT_S", 0.3)
        with pytest.raises(DeviceError, match="another process has been building"):
            got(onnx)
        monkeypatch.setattr(local_plans, "WAIT_S", 30)
        found = []
        thread = threading.Thread(target=lambda: found.append(got(onnx)))
        thread.start()
        for one, data in kept.items():
            one.write_bytes(data)
    thread.join()
    assert found == [plan]
    assert machine.calls["build_serialized_network"] == 1


def test_processes_that_start_at_once_build_once(tmp_path, onnx):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(MODULES), str(ROOT))),
        "PIX2RT_CACHE": str(tmp_path / "cache"),
        "STAND_IN_BUILDS": str(tmp_path / "builds"),
    }
    code = (
        "import runtime, sys; s = runtime.Synthesizer(sys.argv[1], 'cuda', backend='tensorrt'); "
        "s.warm_up(); print(s.backend, s.skipped); s.close()"
    )
    command = [sys.executable, "-c", code, str(onnx)]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0].strip() for process in running]
    assert answers == ["tensorrt ()"] * 3
    assert len((tmp_path / "builds").read_text().splitlines()) == 1


def test_auto_does_not_build(machine, onnx):
    assert open_engine(onnx).device == "cpu"
    assert machine.calls["build_serialized_network"] == 0
    reasons = dict(choices(onnx))
    assert "only where backend='tensorrt' asks for it" in reasons["tensorrt on cuda"]
    assert dict(choices(onnx, backend="tensorrt")) == {"tensorrt on cuda": None}


def test_without_a_gpu_nothing_is_built_in_vain(machine, onnx):
    machine.driver = False
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        open_engine(onnx, "cuda", backend="tensorrt")
    with pytest.raises(DeviceError, match="does not run on cpu"):
        open_engine(onnx, "cpu", backend="tensorrt")
    assert machine.calls["build_serialized_network"] == 0


def test_builds_that_fail(machine, tmp_path, onnx):
    machine.fail("build_serialized_network")
    with pytest.raises(PlanError, match=r"cannot build .*city\.onnx: buildSerializedNetwork: out of luck"):
        got(onnx)
    assert cache(tmp_path) == []
    with pytest.raises(InputError, match="'openvino' is not one of"):
        got(onnx, flavor="openvino")
    machine.driver = False
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        got(onnx, flavor="tensorrt")


def test_progress_runs_from_0_to_1_and_ctrl_c_ends_it(machine, onnx):
    seen = []
    got(onnx, progress=lambda phase, share: seen.append((phase, share)))
    assert {phase for phase, _ in seen} == {"Building Engine"}
    shares = [share for _, share in seen]
    assert shares[0] == 0.125
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def press(phase, share):
        raise KeyboardInterrupt

    where(onnx).unlink()
    with pytest.raises(KeyboardInterrupt):
        got(onnx, progress=press)


BARE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript", "export", "training", "cuda_ext", "tests"):
            raise ModuleNotFoundError(f"refused {name}", name=name)
sys.meta_path.insert(0, Refuse())
from runtime.engines.plan_builder import build_plan_file
plan = build_plan_file(sys.argv[1], sys.argv[2], flavor="tensorrt-rtx")
print(plan.origin, sorted({"torch", "onnx", "onnxruntime"} & set(sys.modules)))
"""


def test_a_real_plan_without_torch_and_onnx(tmp_path, onnx):
    """TensorRT-RTX itself builds it, in an environment where neither can be imported."""
    pytest.importorskip("tensorrt_rtx")
    command = [sys.executable, "-c", BARE, str(onnx), str(tmp_path / "e.engine")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "tensorrt-rtx" in result.stdout
    assert result.stdout.strip().endswith("[]")
    assert json_path(Path(tmp_path / "e.engine")).is_file()
