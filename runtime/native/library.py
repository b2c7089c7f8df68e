"""The shared library of kernels, as ctypes sees it. Its structures are those of src/pix2rt.h."""

import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runtime.errors import DeviceError, EngineFormatError

_ABI = 3
PATH = Path(__file__).with_name(
    {"win32": "pix2rt_native.dll", "darwin": "libpix2rt_native.dylib"}.get(sys.platform, "libpix2rt_native.so")
)
PLAIN, LEAKY, TANH = range(3)
KINDS = (
    *("conv", "conv_transpose", "norm", "sum", "concat", "stats", "average_pool", "max_pool", "depth_to_space"),
    *("upsample", "from_bytes", "to_bytes", "to_floats", "codes", "pool_codes", "stem", "label_features"),
    *("style_features", "mask_from_bytes", "to_mask", "from_mask", "mask_pool", "mask_upsample", "select", "blend"),
    *("smooth_fill", "patch_match", "patch_paste", "paste_bytes", "to_match", "from_floats", "expand"),
    *("contract", "act_gradient", "contextual", "perceptual", "momentum", "bounded_sum"),
)
ALGORITHMS = ("auto", "direct", "winograd")
NONE = -1  # an offset or index of nothing


class Operand(Structure):
    """What a layer reads: act(x · scale + shift). Offsets are bytes in the arena."""

    _fields_ = (
        ("data", c_int64),
        ("scale", c_int64),
        ("shift", c_int64),
        ("channels", c_int32),
        ("height", c_int32),
        ("width", c_int32),
        ("act", c_int32),
        ("alpha", c_float),
        ("padding_", c_int32),
    )


class Weights(Structure):
    """Weights of some channels of an operand, in the mapped file."""

    _fields_ = (
        ("data", c_void_p),
        ("row", c_int64),
        ("column", c_int64),
        ("operand", c_int32),
        ("first", c_int32),
        ("channels", c_int32),
        ("padding_", c_int32),
    )


class Layer(Structure):
    """One call of a kernel."""

    _fields_ = (
        ("kind", c_int32),
        ("batch", c_int32),
        ("n_in", c_int32),
        ("n_weights", c_int32),
        ("operands", POINTER(Operand)),
        ("weights", POINTER(Weights)),
        ("bias", c_void_p),
        ("gain", c_void_p),
        ("out", c_int64),
        ("stats", c_int64),
        ("codes", c_int64),
        ("codes_out", c_int64),
        ("mask", c_int64),
        ("mask_out", c_int64),
        ("scratch", c_int64),
        ("packed", c_int64),
        ("channels", c_int32),
        ("height", c_int32),
        ("width", c_int32),
        ("source", c_int32 * 2),
        ("kernel", c_int32 * 2),
        ("stride", c_int32 * 2),
        ("dilation", c_int32 * 2),
        ("pad", c_int32 * 2),
        ("is_reflected", c_int32),
        ("algorithm", c_int32),
        ("buffers", c_int32 * 3),
        ("options", c_int32 * 4),
        ("scale", c_float),
        ("shift", c_float),
    )


class _Buffer(Structure):
    _fields_ = (("data", c_void_p), ("bytes", c_int64))


class _Call(Structure):
    _fields_ = (
        ("arena", c_void_p),
        ("arena_bytes", c_int64),
        ("buffers", POINTER(_Buffer)),
        ("n_buffers", c_int32),
        ("threads", c_int32),
        ("is_prepared", c_int32),
        ("padding_", c_int32),
    )


class Buffers:
    """An engine's inputs and outputs as the kernels see them; keeps the arrays."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._arrays = tuple(arrays)
        self.table = (_Buffer * len(arrays))(*(_Buffer(array.ctypes.data, array.nbytes) for array in arrays))


class Kernels:
    """The kernels of one instruction set.

    Attributes:
        name: "avx512", "avx2", "neon" or "generic".
        lanes: channels that lie together in a tensor.
    """

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = library, handle
        self.name: str = library.p2r_name(handle).decode()
        self.lanes: int = library.p2r_lanes(handle)

    def peak(self) -> float:
        """Floating-point operations a second that one thread reaches in the innermost loop; takes 50 ms."""
        products: float = self._library.p2r_peak(self._handle)
        return 2 * products

    def scratch(self, layer: Layer, threads: int) -> int | None:
        """Bytes of memory that `layer` needs for itself; None where these kernels cannot run it."""
        size: int = self._library.p2r_scratch(self._handle, byref(layer), threads)
        return None if size < 0 else size

    def packed(self, layer: Layer) -> int:
        """Bytes of its weights as a loop keeps them from call to call; 0 where it would keep none."""
        size: int = self._library.p2r_packed(self._handle, byref(layer))
        return size

    def run(
        self,
        layers: "ctypes.Array[Layer]",
        arena: tuple[int, int],
        buffers: Buffers,
        threads: int,
        seconds: "ctypes.Array[c_double] | None" = None,
        *,
        is_prepared: bool = False,
    ) -> None:
        """Run `layers` with the memory `arena` (address, bytes), on the engine's inputs and outputs `buffers`.

        `is_prepared`: a call before has left the weights that stay packed in this very memory.

        Raises:
            EngineFormatError: a layer reads or writes beyond the arena; nothing ran.
        """
        call = _Call(arena[0], arena[1], buffers.table, len(buffers.table), threads, is_prepared, 0)
        failed = self._library.p2r_run(self._handle, layers, len(layers), byref(call), seconds)
        if failed >= 0:
            kind = KINDS[layers[failed].kind]
            raise EngineFormatError(f"step {failed} ({kind}) of an engine's native plan does not fit its memory")


def missing_reason() -> str | None:
    """Why native kernels cannot run here, in one line; None where they can."""
    try:
        load_kernels()
    except DeviceError as error:
        return str(error)
    return None


def instruction_sets() -> list[str]:
    """Those that this CPU and the library have, the best first; errors as in `load_kernels`."""
    return [name for name in ("avx512", "avx2", "neon", "generic") if _library().p2r_find(name.encode())]


def load_kernels(name: str | None = None) -> Kernels:
    """The kernels called `name`; by default those the environment variable PIX2RT_CPU names, else the best.

    Raises:
        DeviceError: the library was not built, is another version's, or this CPU lacks the instructions.
    """
    library = _library()
    wanted = name or os.environ.get("PIX2RT_CPU") or None
    handle = library.p2r_find(wanted.encode() if wanted else None)
    if not handle:
        have = ", ".join(instruction_sets())
        raise DeviceError(f"native kernels {wanted!r} are not available here; this CPU and build have {have}")
    return Kernels(library, handle)


@functools.cache
def _library() -> ctypes.CDLL:
    if not PATH.exists():
        raise DeviceError(
            "native kernels were not built when pix2rt was installed: install a C compiler (gcc or clang), "
            "then pip install --force-reinstall --no-deps pix2rt"
        )
    try:
        library = ctypes.CDLL(str(PATH))
        _declare(library)
    except (OSError, AttributeError) as error:
        raise DeviceError(f"native kernels {PATH} do not load ({error}); install pix2rt again") from error
    if library.p2r_abi() != _ABI:
        raise DeviceError(
            f"native kernels {PATH} are of another version ({library.p2r_abi()}, expected {_ABI}); install pix2rt again"
        )
    return library


def _declare(library: ctypes.CDLL) -> None:
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "p2r_abi": (c_int32, []),
        "p2r_find": (c_void_p, [c_char_p]),
        "p2r_lanes": (c_int32, [c_void_p]),
        "p2r_name": (c_char_p, [c_void_p]),
        "p2r_peak": (c_double, [c_void_p]),
        "p2r_scratch": (c_int64, [c_void_p, POINTER(Layer), c_int32]),
        "p2r_packed": (c_int64, [c_void_p, POINTER(Layer)]),
        "p2r_run": (c_int32, [c_void_p, POINTER(Layer), c_int32, POINTER(_Call), POINTER(c_double)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
