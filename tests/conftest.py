"""What every test process needs, before it imports anything of ours."""

import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several of them share the cores: threads of the numerical libraries would only be in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and so would the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
