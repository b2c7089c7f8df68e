"""Writing whole files or none: what lies at the target, what a kill leaves, what two threads do to each other."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime import files
from runtime.errors import MissingFileError, OutputError
from runtime.files import atomic_path, require_file
from tests.paths import ROOT

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def write(path, content=b"new"):
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_links_are_followed(tmp_path):
    (tmp_path / "store").mkdir()
    real = tmp_path / "store" / "real.bin"
    real.write_bytes(b"old")
    links = [tmp_path / "link.bin", tmp_path / "chain.bin", tmp_path / "dangling.bin"]
    links[0].symlink_to(real)
    links[1].symlink_to(links[0])
    links[2].symlink_to(tmp_path / "store" / "not_yet.bin")
    for number, link in enumerate(links):
        write(link, b"new%d" % number)
        assert link.is_symlink()
        assert link.read_bytes() == b"new%d" % number
    assert real.read_bytes() == b"new1"
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["not_yet.bin", "real.bin"]
    (tmp_path / "circle.bin").symlink_to(tmp_path / "circle.bin")
    with pytest.raises(OutputError, match=r"cannot write .*circle\.bin: Too many levels of symbolic links"):
        write(tmp_path / "circle.bin")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_modes_are_the_users(tmp_path, umask):
    """New files get what the umask leaves, files that were there keep theirs; nobody else's umask is touched."""
    previous = os.umask(umask)
    try:
        assert mode(write(tmp_path / "new.bin")) == 0o666 & ~umask
        for kept in (0o600, 0o640, 0o755):
            (tmp_path / "new.bin").chmod(kept)
            assert mode(write(tmp_path / "new.bin", b"again")) == kept
    finally:
        os.umask(previous)


def test_the_umask_of_other_threads_is_left_alone(tmp_path, monkeypatch):
    """os.umask belongs to the process: between setting and resetting it, other threads' files would be open to all."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask of the whole process was changed"))
    write(tmp_path / "new.bin")


def test_the_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace

    def flushed(handle):
        assert os.get_inheritable(handle) is False
        os.pwrite(handle, b"", 0)  # Windows flushes a handle only if it may write
        events.append(("fsync", os.fstat(handle).st_ino))
        fsync(handle)

    def renamed(self, target):
        events.append(("replace", self.stat().st_ino))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    inode = write(tmp_path / "new.bin").stat().st_ino
    assert events == [("fsync", inode), ("replace", inode)]


def test_pipes_and_devices_are_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"through the pipe")
    reader.join(10)
    assert received == [b"through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("is_file", [True, False])
def test_stdout_by_every_name(tmp_path, name, is_file):
    """Appended where the shell has opened a file, and that file stays the same one."""
    code = (
        "import sys, runtime.files as f\nprint('before', flush=True)\n"
        f"with f.atomic_path({name!r}) as t: t.write_bytes(b'\\x89content')"
    )
    command = [sys.executable, "-c", code]
    if not is_file:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        assert done.stdout == b"before\n\x89content"
        return
    target = tmp_path / "out.bin"
    with target.open("ab") as stream:
        subprocess.run(command, cwd=ROOT, stdout=stream, check=True)
        assert target.read_bytes() == b"before\n\x89content"
        assert os.fstat(stream.fileno()).st_ino == target.stat().st_ino


def test_what_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path, message in {
        tmp_path / "folder": "it is a directory",
        tmp_path / "file" / "below": "choose a folder you can write to",
        tmp_path / ("n" * 256): "File name too long",
        tmp_path / ("ü" * 128): "File name too long",
        tmp_path / ("n" * 256) / "x.bin": "File name too long",
    }.items():
        with pytest.raises(OutputError, match=message), atomic_path(path):
            pytest.fail("the work began")


@pytest.mark.skipif(IS_ROOT, reason="root may write everything")
def test_write_protected_files_are_kept(tmp_path):
    (tmp_path / "old.bin").write_bytes(b"old")
    (tmp_path / "old.bin").chmod(0o444)
    with pytest.raises(OutputError, match="write-protected"):
        write(tmp_path / "old.bin")


def test_names_too_long_to_exist_are_missing_files(tmp_path):
    for name in ("n" * 256, "ü" * 128, "a/" * 3000):
        with pytest.raises(MissingFileError, match="does not exist"):
            require_file(tmp_path / name, "engine")
    os.mkfifo(tmp_path / "pipe")
    for stream in (tmp_path / "pipe", "-", "/dev/null"):
        with pytest.raises(MissingFileError, match="is a pipe or device, expected a file"):
            require_file(stream, "engine")


def test_a_full_disk_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*new\.bin: No space left"), atomic_path(tmp_path / "new.bin"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OutputError, match="No space left"):
        write(Path("/dev/full"))
    assert list(tmp_path.iterdir()) == []


HANGS = """
import sys, time, runtime.files as f
with f.atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_leftovers_of_dead_writers_go_and_those_of_the_living_stay(tmp_path):
    def begin(target):
        process = subprocess.Popen([sys.executable, "-c", HANGS, str(target)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        return process

    target = tmp_path / "photo.v2.png"
    dead, alive = begin(target), begin(target)
    dead.kill()
    dead.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    strangers = [".photo.v2.0ab1.partial.png", ".photo.v2.00000000-1.0123abcd.partial.png"]
    for name in strangers:  # of another machine that shares the folder, of something else
        (tmp_path / name).touch()
    with atomic_path(target) as mine:
        files._swept.clear()
        write(tmp_path / "other.png")  # does not touch what is being written here
        names = {path.name for path in tmp_path.iterdir()}
        assert mine.name in names
        mine.write_bytes(b"whole")
    kept = {path.name for path in tmp_path.iterdir()} - {"photo.v2.png", "other.png"}
    assert f"-{alive.pid}." in " ".join(kept)
    assert len(kept) == 1 + len(strangers)
    alive.kill()
    alive.communicate()


def test_a_process_of_the_same_number_is_no_excuse(tmp_path):
    """In containers every run may have the same process number."""
    leftover = tmp_path / f".x.{files._HOST}-{os.getpid()}.0123abcd.partial.bin"
    leftover.touch()
    write(tmp_path / "x.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]
