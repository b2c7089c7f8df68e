"""In the place of `cuda.bindings.runtime`."""

from tests.runtime.engines.stand_in.cuda_runtime import *  # noqa: F403
