"""The rules of the source tree: who may import whom, what lies at the top, and that every module stands by itself."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("runtime", "training", "export", "cuda_ext")
FRONT = ROOT / "runtime" / "front"  # a folder that holds the package pix2rt, which is on top of all others
LAZY = "runtime.commands.lazy"  # errors to exit codes, of every command line
CONFIG = "runtime.commands.config"  # options from a file
EXTRAS = "runtime.extras"
ONNX_ENGINE = "runtime.engines.onnx_engine"  # how onnxruntime is loaded and opens a file
SIBLINGS_OF_RUNTIME = {
    "runtime.errors",
    "runtime.runners.conditions",
    "runtime.runners.instances",  # which class an instance has is one rule
    "runtime.files",
    "runtime.engines.labels",
    "runtime.version",
}
EXPORT_MAY_USE = (
    "training.networks",
    "training.checkpoint",
    "training.imports",
    "training.class_tables",
    "training.errors",
    "training.memory",
)
TOP = {
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "constraints.txt",
    "MANIFEST.in",
    ".ci",
    "training",
    "export",
    "runtime",
    "cuda_ext",
    "tests",
}
MAX_LINES = 400
# The rooms of the runtime from the top floor down, and the modules of the ground floor, each lower than the one before.
FLOORS = (
    "",
    "__main__",
    "commands",
    "studio",
    "server",
    "bench",
    "media",
    "runners",
    "engines",
    "native",
    "files",
    "process",
    "extras",
    "errors",
    "version",
    "assets",
)
WEB = {"starlette", "uvicorn", "prometheus_client", "ray", "pydantic"}
PUBLIC = ("runtime.__version__",)
COMMAND_LINE = {"PIL", "typer", "click", "rich"}
TENSORRT_MODULES = (
    "runtime.engines.tensorrt_library",
    "runtime.engines.device_memory",
)
HEAVY = {
    "onnxruntime": ("runtime.engines.onnx_engine",),
    "openvino": ("runtime.engines.openvino_engine",),
    "matplotlib": ("runtime.bench.reports",),
    "cv2": (),  # imported by name, where it is needed: runtime.runners.conditions
    "pyarrow": ("runtime.media.file_lists",),
    "av": ("runtime.media.video_reader", "runtime.media.video_writer"),
    **dict.fromkeys(("tensorrt", "tensorrt_rtx", "cuda"), TENSORRT_MODULES),
}
OPTIONAL = (
    "tensorrt",
    "tensorrt_rtx",
    "cuda",
    "onnxruntime",
    "openvino",
    "matplotlib",
)  # not on every machine that runs the tests


def source_files(*packages: str) -> list[Path]:
    found = (path for package in packages for path in (ROOT / package).rglob("*.py"))
    return sorted(path for path in found if not path.is_relative_to(FRONT))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import anywhere in a file; `from a import b` gives "a.b"."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, "." * node.level + f"{node.module or ''}.{alias.name}") for alias in node.names)


def violations(package: str, is_allowed: "Rule") -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in source_files(package)
        for line, name in imported_names(path)
        if not is_allowed(module_name(path), name)
    ]


class Rule:
    """Whether `module` may import the dotted `name`; relative imports are not used here."""

    def __call__(self, module: str, name: str) -> bool:
        return not name.startswith(".") and self.allows(module, name, name.split(".")[0])

    def allows(self, module: str, name: str, top: str) -> bool:
        raise NotImplementedError


def begins(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def room(module: str) -> str:
    """The room of a module of the runtime: the folder that it lies in, or the module itself on the ground floor."""
    return ".".join(module.split(".")[1:2])


class RuntimeRule(Rule):
    """Rooms stand on the ones below: a module imports from its own and from lower ones, never from higher ones."""

    def allows(self, module: str, name: str, top: str) -> bool:
        if top in COMMAND_LINE:
            return room(module) in ("__main__", "commands", "media", "bench")
        if top in WEB:
            return room(module) in ("studio", "server")
        if top in HEAVY:
            return module in HEAVY[top]
        if top != "runtime":
            return top in sys.stdlib_module_names or top == "numpy"
        if name in PUBLIC:  # `import runtime.x` binds the package, which is above all rooms
            return True
        return floor(name) >= floor(module)


def floor(name: str) -> int:
    """Of a dotted name of the runtime; the lower the room, the higher the number."""
    return FLOORS.index(room(name)) if room(name) in FLOORS else -1


class TrainingRule(Rule):
    def allows(self, module: str, name: str, top: str) -> bool:
        if begins(name, LAZY, CONFIG):
            return module == "training.commands.console"
        if begins(name, EXTRAS):
            return True
        if begins(name, ONNX_ENGINE):
            return module == "training.evaluation.onnx_network"
        return begins(name, *SIBLINGS_OF_RUNTIME) if top == "runtime" else top != "export"


class ExportRule(Rule):
    def allows(self, module: str, name: str, top: str) -> bool:
        return begins(name, *EXPORT_MAY_USE) if top == "training" else True


class FrontRule(Rule):
    """The one name brings nothing of its own: the runtime's public names, and the two packages' functions."""

    def allows(self, module: str, name: str, top: str) -> bool:
        if top in PACKAGES:
            public = {f"runtime.{one}" for one in ("errors", "*", "__main__.main")}
            return name in public | {"runtime"} or begins(name, "export.api", "training.api")
        return top == "pix2rt" or top in sys.stdlib_module_names


class CudaExtRule(Rule):
    def allows(self, module: str, name: str, top: str) -> bool:
        return top not in ("runtime", "training", "export")


@pytest.mark.parametrize(
    ("package", "rule"),
    [("runtime", RuntimeRule()), ("training", TrainingRule()), ("export", ExportRule()), ("cuda_ext", CudaExtRule())],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_imports_follow_the_table(package, rule):
    if package == "cuda_ext" and not source_files(package):
        pytest.skip("no cuda_ext in this tree")
    assert source_files(package), f"no source in {package}"
    assert violations(package, rule) == []


def test_the_front_follows_the_table():
    rule, files = FrontRule(), sorted((FRONT / "pix2rt").rglob("*.py"))
    assert files
    found = [(str(path), name) for path in files for _, name in imported_names(path) if not rule("pix2rt", name)]
    assert found == []


@pytest.mark.parametrize(
    ("rule", "module", "name", "expected"),
    [
        (FrontRule(), "pix2rt", "runtime.errors", True),
        (FrontRule(), "pix2rt", "export.api.onnx", True),
        (FrontRule(), "pix2rt", "export.parity", False),
        (FrontRule(), "pix2rt", "torch", False),
        (RuntimeRule(), "runtime.engines.engine", "torch", False),
        (RuntimeRule(), "runtime.engines.engine", "training.checkpoint", False),
        (RuntimeRule(), "runtime.engines.engine", "onnxruntime", False),
        (RuntimeRule(), "runtime.engines.onnx_engine", "onnxruntime.InferenceSession", True),
        (RuntimeRule(), "runtime.engines.spec", "PIL.Image", False),
        (RuntimeRule(), "runtime.media.video_reader", "av.open", True),
        (RuntimeRule(), "runtime.commands.translate", "av.open", False),
        (RuntimeRule(), "runtime.commands.translate", "rich.table", True),
        (RuntimeRule(), "runtime.runners.translator", "rich.table", False),
        (RuntimeRule(), "runtime.media.images", "PIL.Image", True),
        (RuntimeRule(), "runtime.media.images", ".errors.InputError", False),
        (RuntimeRule(), "runtime.engines.engine", "json", True),
        (RuntimeRule(), "runtime.server.guard", "starlette.types.Scope", True),
        (RuntimeRule(), "runtime.commands.studio", "uvicorn", False),
        (RuntimeRule(), "runtime.studio.page", "runtime.server.guard.Guard", True),
        (RuntimeRule(), "runtime.server.guard", "runtime.studio.page.routes", False),
        (RuntimeRule(), "runtime", "runtime.runners.synthesizer.Synthesizer", True),
        (RuntimeRule(), "runtime.commands.bench", "runtime.bench.measure.measure", True),
        (RuntimeRule(), "runtime.bench.measure", "runtime.commands.console.note", False),
        (RuntimeRule(), "runtime.bench.inputs", "runtime.media.images.read_label_map", True),
        (RuntimeRule(), "runtime.media.images", "runtime.bench.inputs.BenchInput", False),
        (RuntimeRule(), "runtime.runners.synthesizer", "runtime.engines.engine.open_engine", True),
        (RuntimeRule(), "runtime.runners.synthesizer", "runtime.media.images.read_label_map", False),
        (RuntimeRule(), "runtime.engines.engine", "runtime.runners.runner.Runner", False),
        (RuntimeRule(), "runtime.engines.engine", "runtime.files.require_file", True),
        (RuntimeRule(), "runtime.files", "runtime.engines.engine.open_engine", False),
        (RuntimeRule(), "runtime.files", "runtime.errors.OutputError", True),
        (RuntimeRule(), "runtime.errors", "runtime.files.require_file", False),
        (RuntimeRule(), "runtime.engines.engine", "runtime.Synthesizer", False),
        (TrainingRule(), "training.loop", "runtime.errors.InputError", True),
        (TrainingRule(), "training.loop", "runtime.engines.engine.Engine", False),
        (TrainingRule(), "training.loop", "runtime.errors_of_others", False),
        (TrainingRule(), "training.loop", "export.parity", False),
        (ExportRule(), "export.parity", "training.networks.pix2pixhd.build", True),
        (ExportRule(), "export.parity", "training.loop.train", False),
        (ExportRule(), "export.parity", "training.data.scenes", False),
    ],
)
def test_the_rules_tell_right_from_wrong(rule, module, name, expected):
    assert rule(module, name) is expected


def test_onnxruntime_is_never_loaded_with_its_telemetry():
    found = {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in source_files(*PACKAGES)
        if any(begins(name, "onnxruntime") for _, name in imported_names(path))
    }
    assert set(found) == {"runtime/engines/onnx_engine.py", "cuda_ext/bench_forms.py"}
    for text in found.values():
        assert 0 < text.find("ORT_DISABLE_TELEMETRY") < text.index("import onnxruntime")


def test_no_long_files():
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in source_files(*PACKAGES, "tests")}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_nothing_else_at_the_top():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=60
    ).stdout
    top = {name.split("/")[0] for name in listed.splitlines()}
    if not top:
        pytest.skip("nothing is tracked yet")
    assert {name for name in top if name not in TOP and not name.startswith(".")} == set()
    assert {
        name for name in listed.splitlines() if name.startswith(".") and "/" in name and not name.startswith(".ci/")
    } == set()


ONE_BY_ONE = """
import importlib, json, sys, traceback
packages, modules = json.loads(sys.argv[1])
once = "cuda_ext.ops"  # registers operators, which torch allows once in a process
failures = {}
for module in modules:
    for name in [name for name in sys.modules if name.split(".")[0] in packages and name != once]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except BaseException as error:
        failures[module] = [getattr(error, "name", None) or "", traceback.format_exc(limit=-3)]
print(json.dumps(failures))
"""


@pytest.mark.nightly
def test_every_module_imports_by_itself():
    """A fresh copy of our packages for each, so that no module leans on what another one imported before it."""
    modules = [module_name(path) for path in source_files(*PACKAGES)]
    command = [sys.executable, "-c", ONE_BY_ONE, json.dumps([PACKAGES, modules])]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    failures = json.loads(result.stdout.splitlines()[-1])
    assert {
        module: trace for module, (missing, trace) in failures.items() if missing.split(".")[0] not in OPTIONAL
    } == {}


LEAN = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names and top not in ("numpy", "onnxruntime", "runtime"):
            raise ModuleNotFoundError(f"refused {name}", name=name)
sys.meta_path.insert(0, Refuse())
import runtime
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "onnx", "PIL", "typer", "rich", "onnxruntime"}))
"""


def test_runtime_imports_with_numpy_alone():
    """Nothing but numpy and onnxruntime can be found, and onnxruntime is not loaded before an engine is."""
    result = subprocess.run(
        [sys.executable, "-c", LEAN],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
