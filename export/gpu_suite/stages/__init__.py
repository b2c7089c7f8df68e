"""The stages of the suite, the most valuable first; a module each, whose `run(settings, tell)` does it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from export.errors import ExportError
from export.gpu_suite.settings import Settings

Tell = Callable[[str, Any], None]  # name and value of a result, JSON-serialisable; written at once


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: of the stage.
        module: below this package.
        limit_s: after which it is ended; what it has told stays.
        is_beside: runs beside the stages that follow.
        argument: for a module of several stages.
    """

    name: str
    module: str
    limit_s: float
    is_beside: bool = False
    argument: str = ""

    def run(self, settings: Settings, tell: Tell) -> None:
        """Do it here."""
        module = import_module(f"{__name__}.{self.module}")
        module.run(settings, tell, *([self.argument] if self.argument else []))


STAGES = (
    Stage("networks", "networks", 300, is_beside=True),
    Stage("shipped", "shipped", 110),
    Stage("machine", "machine", 45),
    Stage("released", "released", 110),
    Stage("torch", "torch_forms", 60, argument="eager"),
    Stage("unet", "unet", 60),
    Stage("search", "search", 60),
    Stage("patch swap", "patch_swap", 40),
    Stage("kernels", "kernels", 60),
    Stage("plans", "plans", 120),
    Stage("torch compiled", "torch_forms", 90, argument="default"),
    Stage("torch autotuned", "torch_forms", 150, argument="max-autotune-no-cudagraphs"),
)


def stage_names(text: str | None) -> list[str]:
    """The stages of "shipped,released", empty for None.

    Raises:
        ExportError: there is none of that name.
    """
    names = [name.strip() for name in text.split(",")] if text else []
    known = [stage.name for stage in STAGES]
    for name in names:
        if name not in known:
            raise ExportError(f"--only {name!r} is no stage; they are {', '.join(known)}")
    return names
