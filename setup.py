"""Builds the native kernels with whatever C compiler is there. Without one the package installs all the same."""

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError

SOURCES = "runtime/native/src"
NAME = {"win32": "pix2rt_native.dll", "darwin": "libpix2rt_native.dylib"}.get(sys.platform, "libpix2rt_native.so")
# Kernels are compiled once for each instruction set; only these files get its flags.
X86 = {"AVX2": (["-mavx2", "-mfma"], ["/arch:AVX2"]), "AVX512": (["-mavx512f", "-mfma"], ["/arch:AVX512"])}
INSTRUCTION_SETS: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "x86_64": X86,
    "AMD64": X86,
    "aarch64": {"NEON": ([], [])},
    "arm64": {"NEON": ([], [])},
}


class BuildNative(build_ext):
    """A plain shared library, loaded with ctypes: it needs no header of Python and fits every version of it."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")[:-1], NAME))

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []

    def build_extension(self, ext: Extension) -> None:
        is_msvc = self.compiler.compiler_type == "msvc"
        common = ["/O2", "/std:c11"] if is_msvc else ["-std=c11", "-D_GNU_SOURCE", "-O3", "-g0", "-fvisibility=hidden"]
        folder = Path(self.build_temp)
        objects, have = [], []
        for name, flags in {"GENERIC": ([], []), **INSTRUCTION_SETS.get(platform.machine(), {})}.items():
            macros = [(f"P2R_ISA_{name}", "1")]
            try:
                compiled = self.compiler.compile(
                    [f"{SOURCES}/kernels.c"], str(folder / name), macros, extra_postargs=[*common, *flags[is_msvc]]
                )
            except (CCompilerError, CompileError):  # an old compiler: the library does without this instruction set
                if name == "GENERIC":
                    raise
                continue
            objects += compiled
            have.append((f"P2R_HAVE_{name}", "1"))
        objects += self.compiler.compile(
            [f"{SOURCES}/library.c", f"{SOURCES}/pool.c"], str(folder), have, extra_postargs=common
        )
        libraries = [] if is_msvc else ["m", "pthread"]
        target = self.get_ext_fullpath(ext.name)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, target, libraries=libraries)


class AnyPythonWheel(bdist_wheel):
    """A wheel of one platform, but of every version of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


library = Extension("runtime.native.kernels", [f"{SOURCES}/kernels.c"], optional=True)
library.depends = sorted(str(path) for path in Path(SOURCES).glob("*.[ch]"))
setup(ext_modules=[library], cmdclass={"build_ext": BuildNative, "bdist_wheel": AnyPythonWheel})
