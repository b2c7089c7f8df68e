"""In the place of `tensorrt_rtx`."""

from tests.runtime.engines.stand_in.tensorrt_api import api

globals().update(api("tensorrt-rtx"))
