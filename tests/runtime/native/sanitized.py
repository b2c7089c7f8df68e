"""Run in a process of its own, with a library that was compiled with -fsanitize=address,undefined.

Every block of memory and every weight gets forbidden bytes around it, so that the smallest step beyond is seen.
Arguments: the library; how many random programs.
"""

import ctypes
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

from runtime.engines import native_engine, native_steps
from runtime.engines.native_planner import WeightFile
from runtime.native import library

GAP = 256
gaps = []


def place_apart(blocks):
    offset = GAP
    gaps[:] = [(0, GAP)]
    for block in blocks:
        block.offset = offset
        end = offset + block.size
        offset = -(-end // 8) * 8 + GAP
        offset += -offset % 64
        gaps.append((end, offset))
    return offset


def of_sanitizer(name):
    function = getattr(ctypes.CDLL(None), name)
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return function


class Arena:
    def __init__(self, size, source):
        self.size = size
        self._values = np.zeros(size + 64, np.uint8)
        self.address = self._values.ctypes.data + -self._values.ctypes.data % 64
        forbid = of_sanitizer("__asan_poison_memory_region")
        for begin, end in gaps:
            forbid(self.address + begin, end - begin)

    def __del__(self):
        of_sanitizer("__asan_unpoison_memory_region")(self.address, self.size)


class CopiedWeights(WeightFile):
    copies: ClassVar[dict] = {}

    def at(self, name, index=0):
        if name is None:
            return None
        key = (self.address, name)
        if key not in self.copies:
            count = 4 * int(np.prod(self.dims(name)))
            memory = ctypes.create_string_buffer(count)
            ctypes.memmove(memory, super().at(name), count)
            self.copies[key] = memory
        return ctypes.addressof(self.copies[key]) + 4 * index


def main():
    library.PATH = Path(sys.argv[1])
    native_steps.place, native_engine.Arena, native_engine.WeightFile = place_apart, Arena, CopiedWeights
    from hypothesis import HealthCheck, Phase, given, settings

    from runtime.engines.source import EngineSource
    from runtime.native.library import instruction_sets
    from tests.runtime import tiny_programs, tiny_search
    from tests.runtime.native.test_holes import matches
    from tests.runtime.native.test_labels import maps
    from tests.runtime.random_programs import random_programs

    folder = Path(sys.argv[1]).parent

    def run(path, spec, inputs):
        source = EngineSource(data=path.read_bytes())
        for kernels in instruction_sets():
            for algorithm in ("direct", "winograd"):
                CopiedWeights.copies.clear()
                native_engine.NativeEngine(source, spec, 3, kernels, algorithm).run(inputs)

    def searches(folder):
        for sizes in (tiny_search.Sizes(), tiny_search.Sizes(33, 130, 10)):
            path, spec = tiny_search.engine(folder / "search.onnx", sizes), tiny_search.specification(sizes)
            inputs = tiny_search.inputs(sizes)
            run(path, spec, inputs)
            CopiedWeights.copies.clear()
            for kernels in instruction_sets():
                loop = native_engine.NativeEngine(path, spec, 3, kernels).loop(inputs, tiny_search.CARRIED)
                for _ in range(2):
                    loop.step()

    @settings(
        max_examples=int(sys.argv[2]),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(random_programs(with_matches=True))
    def random(case):
        program, weights, spec, image = case
        run(tiny_programs.engine(folder / "random.onnx", program, spec, weights), spec, {"image": image})

    run(tiny_programs.engine(folder / "labels.onnx"), tiny_programs.SPEC, maps("random"))
    run(tiny_programs.engine(folder / "labels.onnx"), tiny_programs.SPEC, maps("areas"))
    run(tiny_programs.holes_engine(folder / "holes.onnx"), tiny_programs.HOLE_SPEC, tiny_programs.holes())
    matches(folder, run)
    searches(folder)
    random()
    print("all clean")


main()
