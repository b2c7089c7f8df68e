"""What a kind of engine is: the tensors that it may have, what must hold between them, and which class runs it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from runtime.engines.spec import EngineSpec, TensorSpec

_MAX_ELEMENTS = 2**31  # of a tensor: a bound on what a file can make this process allocate

Axes = Mapping[str, int | None]


@dataclass(frozen=True)
class Form:
    """What a tensor of a kind is.

    Attributes:
        dtype: of its elements.
        axes: one character each: a digit is that size; a letter is one size wherever it stands in the engine, fixed or
            free. N is the batch, H and W are the engine's own size.
        is_optional: whether an engine may lack it.
    """

    dtype: str
    axes: str
    is_optional: bool = False


def any_multiple(spec: EngineSpec) -> str:
    """The sizes that an engine of free size takes, in words."""
    least = f", at least {spec.smallest_side}" if spec.smallest_side > spec.size_multiple else ""
    return f"any multiple of {spec.size_multiple}{least}"


@dataclass(frozen=True)
class Kind:
    """One kind of engine; `runtime.engines.kinds` has a module for each.

    Attributes:
        name: as the specification has it.
        inputs: by name; the first is required, whatever its form says.
        outputs: likewise.
        runner: "module:Class" of what runs it, as rooms import downwards only; empty where this package does not.
        check: raises ValueError where a specification lacks what the runner relies on beyond its tensors' forms; gets
            the size that each letter of the forms stands for, None where it is free.
        free_size: words for the sizes that an engine of free size takes.
    """

    name: str
    inputs: Mapping[str, Form]
    outputs: Mapping[str, Form]
    runner: str = ""
    check: Callable[[EngineSpec, Axes], None] = field(default=lambda spec, axes: None)
    free_size: Callable[[EngineSpec], str] = any_multiple

    def require(self, spec: EngineSpec) -> None:
        """Raise ValueError unless `spec` makes sense as an engine of this kind."""
        axes: dict[str, int | None] = {}
        _require_tensors("input", spec.inputs, self.inputs, axes)
        _require_tensors("output", spec.outputs, self.outputs, axes)
        _require_own_size(spec, axes)
        if spec.styles and spec.labels is None:
            raise ValueError("a style bank without a class table")
        self.check(spec, axes)

    def runner_class(self) -> Any:
        """The class that runs it; None where there is none."""
        module, _, name = self.runner.partition(":")
        return getattr(import_module(module), name) if module else None


def _require_tensors(
    what: str, tensors: tuple[TensorSpec, ...], forms: Mapping[str, Form], axes: dict[str, int | None]
) -> None:
    names = [tensor.name for tensor in tensors]
    required = [name for name, form in forms.items() if not form.is_optional]
    if not set(required) <= set(names) or len(set(names)) < len(names):
        raise ValueError(f"{what}s are {', '.join(names)}, expected {', '.join(required)}")
    for tensor in tensors:
        form = forms.get(tensor.name)
        if form is None or (form.dtype, len(form.axes)) != (tensor.dtype, len(tensor.shape)):
            raise ValueError(f"{what} {tensor.name} is {tensor.dtype} {list(tensor.shape)}")
        if math.prod(axis for axis in tensor.shape if isinstance(axis, int)) > _MAX_ELEMENTS:
            raise ValueError(f"{what} {tensor.name} of {list(tensor.shape)} has more than 2³¹ elements")
        for letter, axis in zip(form.axes, tensor.shape, strict=True):
            size = axis if isinstance(axis, int) else None
            wanted = int(letter) if letter.isdecimal() else axes.setdefault(letter, size)
            if size != wanted:
                raise ValueError(
                    f"{what} {tensor.name} of {list(tensor.shape)}, expected {wanted or 'a name'} for {axis}"
                )


def _require_own_size(spec: EngineSpec, axes: Axes) -> None:
    """H and W are those of the specification, which are multiples of its step."""
    height, width = spec.size or (spec.size_multiple, spec.size_multiple)
    if height % spec.size_multiple or width % spec.size_multiple:
        raise ValueError(f"size {spec.size} with size multiple {spec.size_multiple}")
    if {"H", "W"} <= axes.keys() and (axes["H"], axes["W"]) != (spec.size or (None, None)):
        raise ValueError(f"tensors of {axes['H']}×{axes['W']} for size {spec.size}")
