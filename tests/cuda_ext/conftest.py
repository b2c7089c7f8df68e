"""The kernels on the host, compiled once."""

import shutil

import pytest

from tests.cuda_ext.emulated import EmulatedKernels


@pytest.fixture(scope="session", autouse=True)
def no_cache_in_the_users_home(tmp_path_factory):
    """Compiled kernels are kept for the other tests of this process and its children only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("no g++; the CUDA kernels run on the host where it is")
    return EmulatedKernels(tmp_path_factory.mktemp("emulator"))
