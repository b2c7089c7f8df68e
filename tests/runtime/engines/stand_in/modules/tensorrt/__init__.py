"""In the place of `tensorrt`."""

from tests.runtime.engines.stand_in.tensorrt_api import api

globals().update(api("tensorrt"))
