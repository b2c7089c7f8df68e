"""The kernels on the host, compiled once."""

import shutil

import pytest

from tests.cuda_ext.emulated import EmulatedKernels


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("no g++; the CUDA kernels run on the host where it is")
    return EmulatedKernels(tmp_path_factory.mktemp("emulator"))
