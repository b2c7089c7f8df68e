"""Plans of the stand-in: a header, and the ONNX engine that ONNX Runtime runs on the CPU in TensorRT's place."""

import hashlib
import json
import threading
from dataclasses import asdict, dataclass

import numpy as np
import onnxruntime

from runtime.engines.onnx_engine import _session_options
from tests.runtime.engines.stand_in import world as worlds

MAGIC = b"STAND-IN PLAN\n"
SCRATCH_BYTES = 1 << 16
_TYPES = {
    "tensor(uint8)": "UINT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float)": "FLOAT",
    "tensor(float16)": "HALF",
}
DTYPES = {"UINT8": "uint8", "INT32": "int32", "INT64": "int64", "FLOAT": "float32", "HALF": "float16"}
_lock = threading.Lock()


@dataclass
class Header:
    flavor: str
    version: str
    gpu: str
    sha256: str
    profile: dict | None  # input → [min, opt, max]
    is_capturable: bool = True
    is_user_allocated: bool = True


def pack(header, onnx):
    return MAGIC + json.dumps(asdict(header)).encode() + b"\n" + onnx


def unpack(plan):
    """(header, ONNX); ValueError where it is no whole plan."""
    plan = bytes(plan)
    if not plan.startswith(MAGIC):
        raise ValueError("magicTag")
    line, _, onnx = plan[len(MAGIC) :].partition(b"\n")
    header = Header(**json.loads(line))
    if hashlib.sha256(onnx).hexdigest() != header.sha256:
        raise ValueError("serialization assertion failed")
    return header, onnx


def session(onnx):
    """ONNX Runtime as our own engine opens it, once for each graph."""
    key = hashlib.sha256(onnx).hexdigest()
    sessions = worlds.current().sessions
    with _lock:
        if key not in sessions:
            sessions[key] = onnxruntime.InferenceSession(
                onnx, sess_options=_session_options(1), providers=["CPUExecutionProvider"]
            )
        return sessions[key]


@dataclass
class Tensor:
    name: str
    is_input: bool
    dtype: str
    axes: list  # sizes, or a name


def tensors(onnx):
    found = session(onnx)
    return {
        node.name: Tensor(node.name, is_input, _TYPES[node.type], list(node.shape))
        for is_input, nodes in ((True, found.get_inputs()), (False, found.get_outputs()))
        for node in nodes
    }


def output_shapes(onnx, known, shapes):
    """Shapes of the outputs for inputs of these shapes; by a run on zeros where the graph does not name their axes."""
    axes = {}
    for name, shape in shapes.items():
        axes |= {axis: size for axis, size in zip(known[name].axes, shape, strict=True) if isinstance(axis, str)}
    found = {t.name: tuple(axes.get(a, a) for a in t.axes) for t in known.values() if not t.is_input}
    if all(isinstance(axis, int) for shape in found.values() for axis in shape):
        return found
    zeros = {name: np.zeros(shape, DTYPES[known[name].dtype]) for name, shape in shapes.items()}
    return dict(zip(found, (value.shape for value in session(onnx).run(list(found), zeros)), strict=True))
