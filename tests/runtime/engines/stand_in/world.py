"""The machine that the stand-ins for TensorRT and CUDA pretend: its GPUs, their memory, and what was done wrong there.

Device memory lies apart from host memory: its addresses belong to nobody in this process. A stream keeps what is queued
and does it when it is waited for. Whatever the real libraries would punish with wrong pixels is a violation here.
"""

import os
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

ALIGNMENT = 256
GPU = "NVIDIA GeForce RTX 4090"
POISON, FREED, SCRIBBLE = 0xA5, 0xDD, 0xEE
_DEVICE_BASE, _GAP = 0x0D00_0000_0000, 1 << 20


class CudaFailureError(Exception):
    """A call that ends with this status."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


@dataclass
class Memory:
    """An allocation: "device" or "pinned"."""

    kind: str
    address: int
    data: np.ndarray


@dataclass
class Capture:
    thread: int
    operations: list = field(default_factory=list)
    is_broken: bool = False


@dataclass
class Stream:
    queue: deque = field(default_factory=deque)
    capture: Capture | None = None


@dataclass
class Fault:
    name: str
    skip: int
    code: object


class World:
    """What a test sees and sets.

    Attributes:
        driver: whether there is one.
        gpus: names of the GPUs.
        total_bytes, used_bytes: memory of each, and what other programs use of it.
        calls: how often each function was called.
        violations: what was done wrong, in words.
    """

    def __init__(self):
        self.driver = os.environ.get("STAND_IN_DRIVER", "1") == "1"
        self.gpus = [os.environ.get("STAND_IN_GPU", GPU)]
        self.total_bytes, self.used_bytes = 8 << 30, 0
        self.calls, self.violations, self.unread = Counter(), [], {}
        self.lock = threading.RLock()
        self.memory, self.handles, self.objects = {}, {}, {}
        self.faults = []
        self.compiled, self.sessions = set(), {}
        self._next_address, self._next_handle, self._grave = _DEVICE_BASE, 0x1000, deque(maxlen=64)

    # Faults

    def fail(self, name, skip=0, code=999):
        """Let a later call of `name` fail: with a status, or for TensorRT's functions with their way to say so."""
        self.faults.append(Fault(name, skip, code))

    def fault(self, name):
        """The code of the fault that is due, counting this call."""
        self.calls[name] += 1
        for one in self.faults:
            if one.name == name:
                one.skip -= 1
                if one.skip < 0:
                    self.faults.remove(one)
                    return one.code
        return None

    def violate(self, sentence):
        self.violations.append(sentence)

    # Memory

    def allocate(self, kind, nbytes):
        with self.lock:
            if kind == "device" and self.used_bytes + self.allocated("device") + nbytes > self.total_bytes:
                raise CudaFailureError(2)
            data = np.full(nbytes, FREED, np.uint8)
            if kind == "device":
                address = self._next_address
                self._next_address += -(-nbytes // ALIGNMENT) * ALIGNMENT + _GAP
            else:
                address = data.ctypes.data
            self.memory[address] = Memory(kind, address, data)
            return address

    def allocated(self, kind):
        return sum(len(one.data) for one in self.memory.copy().values() if one.kind == kind)

    def free(self, address, kind):
        with self.lock:
            memory = self.memory.get(int(address))
            if memory is None or memory.kind != kind:
                self.violate(f"free of {int(address):#x}, which is no live {kind} memory")
                raise CudaFailureError(1)
            for stream in self.all_streams():
                for operation in tuple(stream.queue):
                    if any(self.owner(a) is memory for a, _ in operation.ranges):
                        self.violate(f"{kind} memory freed while a stream has work on it")
            del self.memory[int(address)]
            memory.data[:] = FREED
            self._grave.append(memory)  # a use of it is noticed, not answered with a crash

    def owner(self, address):
        blocks = self.memory.copy().values()  # one step: other threads make and free some meanwhile
        return next((m for m in blocks if m.address <= address < m.address + len(m.data)), None)

    def bytes_at(self, address, nbytes, kind):
        """The live memory of that kind, as an array; None where it is not."""
        memory = self.owner(int(address))
        if memory is None or memory.kind != kind or address + nbytes > memory.address + len(memory.data):
            return None
        start = int(address) - memory.address
        return memory.data[start : start + nbytes]

    def owns(self, array):
        """Whether an array shares memory with a pinned buffer, live or freed."""
        buffers = [m.data for m in (*self.memory.copy().values(), *self._grave) if m.kind == "pinned"]
        return any(np.shares_memory(array, data) for data in buffers)

    # Handles, streams, captures

    def handle(self, thing):
        with self.lock:
            self._next_handle += 1
            self.handles[self._next_handle] = thing
            return self._next_handle

    def thing(self, handle, kind):
        thing = self.handles.get(int(handle))
        if not isinstance(thing, kind):
            self.violate(f"{int(handle):#x} is no live {kind.__name__}")
            raise CudaFailureError(400)
        return thing

    def stream(self, handle):
        return self.thing(handle, Stream)

    def all_streams(self):
        return [thing for thing in self.handles.copy().values() if isinstance(thing, Stream)]

    def break_captures(self, of_others):
        """Who allocates, frees or waits while its thread captures is refused and breaks the capture; who waits for the
        whole device breaks those of other threads, too. So it was seen on an H100 with a driver for CUDA 13.0.
        """
        mine = False
        for capture in [capture for stream in self.all_streams() if (capture := stream.capture)]:
            is_mine = capture.thread == threading.get_ident()
            mine |= is_mine
            capture.is_broken |= is_mine or of_others
        if mine or (of_others and any(stream.capture for stream in self.all_streams())):
            raise CudaFailureError(900)

    def queue(self, stream, operation):
        with self.lock:
            if stream.capture is not None:
                stream.capture.operations.append(operation)
            else:
                operation.queued(self, stream)
                stream.queue.append(operation)

    def drain(self, stream):
        while stream.queue:
            stream.queue[0].run(self)
            stream.queue.popleft()

    # The end

    def leaks(self):
        """What was made and not given back."""
        kinds = Counter(type(thing).__name__ for thing in self.handles.values())
        kinds.update(f"{m.kind} memory" for m in self.memory.values())
        kinds.update(kind for kind, count in self.objects.items() for _ in range(count))
        return dict(kinds)

    def require_clean(self):
        assert self.violations == []
        assert dict(self.unread) == {}, "statuses that nobody read"
        assert self.leaks() == {}


_current = World()


def current():
    return _current


def renew():
    """A machine just started."""
    global _current
    _current = World()
    return _current
