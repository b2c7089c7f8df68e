"""The GPU and what it can do at most: products of matrices, copies."""

import torch

from export.gpu_suite.forms import attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.timing import measure
from export.gpu_suite.torch_calls import wait
from runtime.engines.onnx_engine import describe_library

_SIDE, _SMALL_SIDE = 8192, 256
_COPIED, _LITTLE_COPIED = 2 << 30, 1 << 20  # bytes


def run(settings: Settings, tell: Tell) -> None:
    """Names and versions, then figures."""
    attempt(tell, "onnxruntime", describe_library)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    tell("torch", {"version": torch.__version__, "cuda": torch.version.cuda, "cudnn": cudnn})
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        capability = f"{properties.major}.{properties.minor}"
        tell("gpu", {"name": properties.name, "capability": capability, "bytes": properties.total_memory})
    for name, dtype, tf32 in (
        ("fp16", torch.float16, False),
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
    ):
        attempt(tell, f"product {name}", lambda d=dtype, t=tf32: _product(settings, d, t))  # type: ignore[misc]
    attempt(tell, "copy", lambda: _copy(settings))


def _product(settings: Settings, dtype: torch.dtype, tf32: bool) -> dict[str, float]:
    torch.backends.cuda.matmul.allow_tf32 = tf32
    side = _SMALL_SIDE if settings.is_small else _SIDE
    one, two = (torch.randn(side, side, device=settings.device).to(dtype) for _ in range(2))
    figures = measure(lambda: torch.mm(one, two), settings.seconds, wait)
    return figures | {"tflops": 2 * side**3 / figures["p50_ms"] / 1e9}


def _copy(settings: Settings) -> dict[str, float]:
    source = torch.zeros(_LITTLE_COPIED if settings.is_small else _COPIED, dtype=torch.uint8, device=settings.device)
    target = torch.empty_like(source)
    figures = measure(lambda: target.copy_(source), settings.seconds, wait)
    return figures | {"gb_per_s": 2 * source.numel() / figures["p50_ms"] / 1e6}
