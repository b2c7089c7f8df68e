"""The three threads of a stream: order, overlap, bounded memory, and that whatever goes wrong stops all of them."""

import threading
import time

import pytest

from runtime.media.pipeline import run_pipeline


def test_everything_arrives_in_order():
    written = []
    run_pipeline(range(500), lambda item: item * 2, written.append)
    assert written == [2 * item for item in range(500)]
    run_pipeline([], lambda item: item, written.append)
    assert len(written) == 500


def test_the_steps_overlap():
    """Each waits for the next item to be read before it lets this one pass: alone, any step would wait for ever."""
    reading = [threading.Event() for _ in range(4)]
    written = []

    def source():
        for event in reading:
            event.set()
            yield event

    def compute(event):
        index = reading.index(event)
        assert reading[min(index + 1, 3)].wait(10)
        return index

    run_pipeline(source(), compute, written.append)
    assert written == [0, 1, 2, 3]


def test_writing_overlaps_with_computing():
    computed = threading.Event()

    def compute(item):
        if item == 1:
            computed.set()
        return item

    waited = []
    run_pipeline(range(2), compute, lambda item: waited.append(computed.wait(10)))
    assert waited == [True, True], "item 1 is computed while item 0 is being written"


def test_what_waits_is_bounded():
    read, written = [], []

    def source():
        for item in range(100):
            read.append(item)
            yield item

    def write(item):
        time.sleep(0.001)
        written.append(item)
        assert len(read) - len(written) <= 2 * 3 + 3  # two queues of three, and one in each hand

    run_pipeline(source(), lambda item: item, write, depth=3)
    assert len(written) == 100


class Broken(Exception):
    pass


@pytest.mark.parametrize("step", ["read", "compute", "write"])
@pytest.mark.parametrize("at", [0, 1, 60])
def test_an_error_of_any_step_stops_all(step, at):
    threads = threading.active_count()

    def fail(name, item):
        if name == step and item == at:
            raise Broken(name)
        return item

    def source():
        for item in range(100):
            yield fail("read", item)

    with pytest.raises(Broken, match=step):
        run_pipeline(source(), lambda item: fail("compute", item), lambda item: fail("write", item))
    assert threading.active_count() == threads


def test_ctrl_c_stops_threads_that_wait():
    """It arrives in the caller's thread; the reader then waits for room, the writer for work."""
    threads = threading.active_count()

    def compute(item):
        if item == 5:
            time.sleep(0.05)
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(range(10**9), compute, lambda item: None)
    assert threading.active_count() == threads
