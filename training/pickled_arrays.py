"""Pickled numpy arrays, read as data.

A pickle is a program: its GLOBAL opcodes name any callable, and even numpy's own `__setstate__` takes a forged dtype at
its word and then follows raw bytes as pointers. So nothing here is unpickled. A small machine runs the few opcodes that
arrays, numbers, strings and dictionaries need, recognises numpy's constructors by name without looking them up, and
builds each array itself from a checked shape, a checked plain dtype and bytes of exactly the right length.
"""

import math
import pickletools
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES",
    "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since numpy 2
_COPIES = 4  # of the file's bytes: protocol 2 spells them as text, which becomes bytes, which become an array
_MARK = object()


class _Name(NamedTuple):
    """What a GLOBAL opcode names; never looked up."""

    module: str
    name: str


class _DType:
    """numpy.dtype under construction: the type code, then the byte order."""

    def __init__(self, code: str) -> None:
        if not re.fullmatch(r"[iuf][1248]|b1|O8?", code):
            raise ValueError(f"it holds an array of type {code[:20]!r}")
        self.code = code
        self.order = "="

    def numpy(self) -> np.dtype[Any]:
        if self.code.startswith("O"):
            raise ValueError("it holds an array of objects")
        return np.dtype(self.order + self.code)


class _Array:
    """numpy.ndarray under construction; `value` is the array, or what a 0-d object array holds."""

    value: Any = None


def read_pickled_arrays(payload: bytes) -> object:
    """The object in a pickle (protocols 2 to 4) of one 0-d object array, as `numpy.save` writes a dictionary.

    Returns:
        Numbers, strings, numpy arrays, and lists, tuples and dictionaries of them.

    Raises:
        ValueError: anything else is inside, or the pickle is damaged.
    """
    machine = _Machine(_COPIES * len(payload))
    try:
        for opcode, argument, _ in pickletools.genops(payload):
            if opcode.name == "STOP":
                return _finished(machine.pop())
            machine.step(opcode.name, argument)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"its pickle is damaged ({type(error).__name__}: {error})") from error
    raise ValueError("its pickle has no end")


def _finished(value: Any) -> object:
    if isinstance(value, _Array):
        value = value.value
    if isinstance(value, dict):
        return {key: item.value if isinstance(item, _Array) else item for key, item in value.items()}
    return value


class _Machine:
    """Runs opcodes. What it makes takes up to `room` bytes: a pickle may name the same bytes over and over."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("its pickle is damaged (misplaced mark)")
        return value

    def pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def step(self, name: str, argument: Any) -> None:
        """Run one opcode."""
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(argument)
        elif name in _VALUES:
            stack.append(_VALUES[name])
        elif name in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(reversed(items)))
        elif handler := getattr(self, f"_{name.lower()}", None):
            handler(argument)
        else:
            raise ValueError(f"its pickle uses the opcode {name}")

    def _proto(self, _: int) -> None: ...

    def _frame(self, _: int) -> None: ...

    def _mark(self, _: None) -> None:
        self.stack.append(_MARK)

    def _tuple(self, _: None) -> None:
        items = self.pop_to_mark()
        self.stack.append(tuple(items))

    def _empty_dict(self, _: None) -> None:
        self.stack.append({})

    def _empty_list(self, _: None) -> None:
        self.stack.append([])

    def _append(self, _: None) -> None:
        item = self.pop()
        _checked(self.stack[-1], list).append(item)

    def _appends(self, _: None) -> None:
        items = self.pop_to_mark()
        _checked(self.stack[-1], list).extend(items)

    def _setitem(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        self._store([key, value])

    def _setitems(self, _: None) -> None:
        self._store(self.pop_to_mark())

    def _store(self, items: list[Any]) -> None:
        target = _checked(self.stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A tuple as a key would be hashed here, and hashing nested tuples can take for ever.
            target[_checked(key, int | str | float | np.generic)] = value

    def _binput(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _long_binget = _binget

    def _global(self, argument: str) -> None:
        self.stack.append(_Name(*argument.split(" ", 1)))

    def _stack_global(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        self.stack.append(_Name(_checked(module, str), _checked(name, str)))

    def _reduce(self, _: None) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(self._kept(_call(_checked(function, _Name), _checked(arguments, tuple))))

    def _build(self, _: None) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, _DType):
            _, target.order, *fields = state
            if target.order not in ("<", ">", "|", "=") or any(field is not None for field in fields[:3]):
                raise ValueError("it holds an array of records")
        else:
            _, shape, dtype, is_fortran, data = state
            made = _array(shape, _checked(dtype, _DType), is_fortran, data)
            _checked(target, _Array).value = self._kept(made)

    def _kept(self, value: Any) -> Any:
        """`value`, counted."""
        self.room -= len(value) if isinstance(value, bytes) else int(getattr(value, "nbytes", 0))
        if self.room < 0:
            raise ValueError("its arrays are larger than the file")
        return value


def _checked(value: Any, expected: Any) -> Any:
    if not isinstance(value, expected):
        raise ValueError(f"it holds {type(value).__name__} where arrays and numbers were expected")
    return value


def _call(function: _Name, arguments: tuple[Any, ...]) -> object:
    """What numpy's constructors would make; every other name is refused."""
    module, name = function
    if module in _ARRAY_MODULES and name == "_reconstruct" and arguments[0] == _Name("numpy", "ndarray"):
        return _Array()
    if function == _Name("numpy", "dtype"):
        return _DType(_checked(arguments[0], str))
    if module in _ARRAY_MODULES and name == "scalar":
        dtype, data = arguments
        return _array((), _checked(dtype, _DType), False, data)[()]
    if function == _Name("_codecs", "encode") and arguments[1:] == ("latin1",):
        return _checked(arguments[0], str).encode("latin-1")  # how protocol 2 spells bytes
    if module in ("__builtin__", "builtins") and name == "bytes" and not arguments:
        return b""
    raise ValueError(f"it refers to {module}.{name}")


def _array(shape: Any, dtype: _DType, is_fortran: Any, data: Any) -> NDArray[Any] | Any:
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("it holds an array without a proper shape")
    if dtype.code.startswith("O"):
        if shape != () or not isinstance(data, list) or len(data) != 1:
            raise ValueError("it holds an array of objects")
        return data[0]
    content = data.encode("latin-1") if isinstance(data, str) else _checked(data, bytes)  # str: written by Python 2
    number_type = dtype.numpy()
    if len(content) != math.prod(shape) * number_type.itemsize:
        raise ValueError(f"it holds an array of shape {shape} with {len(content)} bytes of data")
    return np.ndarray(shape, number_type, content, order="F" if is_fortran else "C").copy()
