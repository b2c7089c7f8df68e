"""Everything that the stand-in has is in the real libraries, under that name and with those parameters."""

import inspect
import re

import pytest

from tests.runtime.engines.stand_in import cuda_runtime
from tests.runtime.engines.stand_in.tensorrt_api import VERSIONS, api

OWN = {"fault"}  # no library's
CALLED_BACK = {"ILogger", "IProgressMonitor"}  # the library calls these, by position
# Which library has the name: full TensorRT is tensorrt_lean and a builder, which only TensorRT-RTX brings along here.
REAL = {"tensorrt-rtx": ("tensorrt_rtx",), "tensorrt": ("tensorrt_lean", "tensorrt_rtx")}


def real(flavor):
    """The first that is installed has to have what it can have; where it is not, that test skips."""
    name = REAL[flavor][0]
    return pytest.importorskip(name, reason=f"{name} is not installed: pip install {name.replace('_', '-')}-cu13")


def public(kind):
    """Names of methods and properties; what only the stand-in's own code uses is set on objects, not on classes."""
    return {name: value for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}


def parameters(function):
    """Of a pybind11 function, from the first line or lines of its documentation: a list for each overload."""
    lines = re.findall(rf"{function.__name__}\((.*?)\) ->", function.__doc__ or "")
    lines = [line for line in lines if "*args" not in line]
    return [[part for part in re.findall(r"(?:^|, )(\w+): ", line) if part != "self"] for line in lines]


def members(kind):
    return {name: int(value) for name, value in kind.__members__.items()}


@pytest.mark.parametrize("flavor", VERSIONS)
def test_tensorrt(flavor):
    library = real(flavor)
    builder = pytest.importorskip("tensorrt_rtx")
    compared = 0
    for name, kind in api(flavor).items():
        if name == "__version__":
            assert library.__version__.split(".")[0] == kind.split(".")[0]
            continue
        theirs = getattr(library, name, None) or getattr(builder, name, None)
        assert theirs is not None, f"{name} is in neither library"
        if hasattr(kind, "__members__"):
            assert members(kind).keys() <= members(theirs).keys(), name
            continue
        for base in reversed(kind.__mro__[:-1]):
            for method, function in public(base).items():
                if method in ("engine_type", "Severity"):
                    continue
                overloads = parameters(getattr(theirs, method))
                ours = [p for p in inspect.signature(function).parameters if p != "self"]
                assert ours in overloads, f"{name}.{method}{ours}: {overloads}"
                compared += 1
    assert compared > 30


@pytest.mark.parametrize("flavor", VERSIONS)
def test_what_is_read_and_set(flavor):
    """Attributes, which the stand-in keeps on its objects."""
    library = real(flavor)
    builder = pytest.importorskip("tensorrt_rtx")
    attributes = {
        "ICudaEngine": ("num_io_tensors", "num_optimization_profiles", "device_memory_size_v2"),
        "IBuilderConfig": ("progress_monitor",),
        "OnnxParser": ("num_errors",),
    }
    if flavor == "tensorrt-rtx":
        attributes["IRuntimeConfig"] = ("cuda_graph_strategy", "dynamic_shapes_kernel_specialization_strategy")
    for kind, names in attributes.items():
        theirs = getattr(library, kind, None) or getattr(builder, kind)
        for name in names:
            assert isinstance(getattr(theirs, name), property), f"{kind}.{name}"


@pytest.mark.parametrize("flavor", VERSIONS)
def test_numbers_of_flags(flavor):
    """Those that pix2rt tells apart by their bits; all others go by name, for they move between versions."""
    library = real(flavor)
    if flavor == "tensorrt-rtx":
        for name in ("EngineInvalidityDiagnostics", "EngineValidity"):
            ours, theirs = members(api(flavor)[name]), members(getattr(library, name))
            assert ours.items() <= theirs.items()
    assert [kind.name for kind in api(flavor)["ILogger"].Severity] == list(library.ILogger.Severity.__members__)


def test_cuda():
    library = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed; the suite has it")
    names = [name for name in cuda_runtime.__all__ if not isinstance(getattr(cuda_runtime, name), type)]
    assert len(names) > 20
    for name in names:
        ours = inspect.signature(getattr(cuda_runtime, name)).parameters
        assert list(ours) == list(inspect.signature(getattr(library, name)).parameters), name
    for name in ("cudaMemcpyKind", "cudaStreamCaptureMode", "cudaError_t"):
        ours, theirs = members(getattr(cuda_runtime, name)), members(getattr(library, name))
        assert ours.items() <= theirs.items()


def test_without_a_driver_the_real_one_answers_as_the_stand_in_does():
    library = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed; the suite has it")
    if int(library.cudaGetDeviceCount()[0]) == 0:
        pytest.skip("there is a GPU here")
    from tests.runtime.engines.stand_in import installed

    with installed() as world:
        world.driver = False
        for call in (lambda r: r.cudaGetDeviceCount(), lambda r: r.cudaMalloc(256), lambda r: r.cudaMemGetInfo()):
            theirs, ours = call(library), call(cuda_runtime)
            assert len(theirs) == len(ours)
            assert [int(theirs[0]), *theirs[1:]] == [int(ours[0]), *ours[1:]]
