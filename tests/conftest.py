"""What every test process needs, before it imports anything of ours."""

import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several of them share the cores: threads of the numerical libraries would only be in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs ignore Ctrl-C, those of nohup SIGHUP, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
