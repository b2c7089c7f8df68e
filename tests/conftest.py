"""Several test processes share the cores: threads of the numerical libraries would only be in each other's way."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
