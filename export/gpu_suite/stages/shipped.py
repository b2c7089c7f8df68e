"""The engines that ship with the runtime, in ONNX Runtime on the GPU: do they start, are they right and fast."""

from export.gpu_suite.forms import FORMS, GRAPH, GRAPH_WITHOUT_PINNED, PLAIN, Tried, attempt
from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import Tell
from runtime.commands import ASSETS

_NAMES: dict[str, tuple[str, ...]] = {
    "edges2photo": (GRAPH, GRAPH_WITHOUT_PINNED, PLAIN),
    "street": FORMS,
    "inpaint": (GRAPH, PLAIN),
    "faces": (GRAPH, PLAIN),
    "street.encoder": (GRAPH,),
}
_SMALL = ("edges2photo", "faces")
_DYNAMIC_SIZE = (256, 256)


def run(settings: Settings, tell: Tell) -> None:
    """Every engine in every form; in a dry run the small ones."""
    for name in _SMALL if settings.is_small else _NAMES:
        attempt(tell, f"{name}, placement", lambda n=name: _tell(settings, tell, n))  # type: ignore[misc]


def _tell(settings: Settings, tell: Tell, name: str) -> str:
    size = _DYNAMIC_SIZE if name == "edges2photo" else None
    Tried(ASSETS / f"{name}.onnx", size).tell_forms(settings, tell, name, _NAMES[name])
    return "told"
