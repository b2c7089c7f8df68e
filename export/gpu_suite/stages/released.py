"""pix2pixHD at its released size, in ONNX Runtime on the GPU; and what options of its CUDA provider do to it."""

from export.gpu_suite.forms import FORMS, GRAPH, Tried, attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from export.gpu_suite.stages.networks import CITY

_VARIANTS = {
    "fp16": {"channels last": {"prefer_nhwc": "1"}, "fused biases": {"fuse_conv_bias": "1"}},
    "fp32": {"TF32": {"use_tf32": "1"}},
}


def run(settings: Settings, tell: Tell) -> None:
    """fp16 first: it is what a GPU is for."""
    for precision, variants in _VARIANTS.items():
        name = f"pix2pixHD {precision}"
        path = settings.wait_for(f"{CITY}.{precision}.onnx")
        tried = Tried(path)
        tried.tell_forms(settings, tell, name, FORMS)
        for variant, options in variants.items():
            attempt(tell, f"{name}, {variant}", lambda o=options, t=tried: t.figures(settings, GRAPH, o))  # type: ignore[misc]
