"""The studio in the browser."""

import secrets
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from runtime.commands.console import err, note
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device, Threads
from runtime.engines.names import engine_path
from runtime.errors import DeviceError
from runtime.files import require_file

_SHIPPED = ("street", "inpaint", "faces", "edges2photo")


def studio(
    engines: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ENGINES...]", help="Engines, files or names; those that ship if none is given."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The next free one where it is taken; 0 for any.")] = 8750,
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback asks for a token.")] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
    max_upload: Annotated[int, typer.Option(min=1, help="Largest upload, MiB.", rich_help_panel=REST)] = 64,
    device: Device = "auto",
    backend: Backend = "auto",
    threads: Threads = None,
) -> None:
    """Paint labels, restyle objects, fill holes, complete sketches and translate drawings in the browser.

    Nothing leaves this machine, and only what is named here is read. Ctrl-C ends it.

    Example: `pix2rt studio`

    Example: `pix2rt studio city.onnx edges2photo.onnx`
    """
    try:
        from runtime.server.inference import Workers
        from runtime.server.serve import LOCAL_HOSTS, address_of, listen, serve
        from runtime.studio.page import KINDS
        from runtime.studio.page import studio as application
    except ModuleNotFoundError as error:
        raise DeviceError(f'the studio needs {error.name}: pip install "pix2rt[studio]"') from error
    paths = [require_file(engine_path(engine), "engine") for engine in engines or map(Path, _SHIPPED)]
    with err.status("load the engines"):
        workers = Workers.open(paths, device, backend, threads, kinds=KINDS)
    token = None if host in LOCAL_HOSTS else secrets.token_urlsafe(24)
    guard = {"token": token, "max_upload": max_upload * 2**20} | ({"hosts": None} if token else {})
    opened = listen(host, port)
    address = address_of(opened) + (f"?token={token}" if token else "")
    if port and opened.getsockname()[1] != port:
        note(f"port {port} is taken")

    def started() -> None:
        print(address, flush=True)
        if not no_browser:
            webbrowser.open(address)

    serve(application(workers, **guard), opened, started)
