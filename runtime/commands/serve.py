"""Engines behind an address."""

import contextlib
import secrets
from pathlib import Path
from typing import Annotated

import typer

from runtime.commands.console import err, note
from runtime.commands.lazy import REST
from runtime.commands.options import Backend, Device
from runtime.engines.names import engine_path
from runtime.extras import extra_needed
from runtime.files import require_file
from runtime.media import DEFAULT_MEGAPIXELS
from runtime.media.decoding import limit_megapixels, megapixels

_MEGAPIXELS = 16.0  # of a request: a network needs some 600 MB for each


def serve(
    engines: Annotated[list[Path], typer.Argument(metavar="ENGINES...", help="Engines, files or names.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0 for any.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback asks for a token.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(envvar="PIX2RT_TOKEN", help="That requests must bring; made and printed where one is needed."),
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="Requests kept at once; more are refused (429).")] = 32,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds for an upload, and again for its answer; then 408 and 503.")
    ] = 60,
    calls: Annotated[
        int | None, typer.Option(min=1, max=256, help="Calls of engines at once; measured if not given.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each; measured if not given.")] = None,
    max_upload: Annotated[int, typer.Option(min=1, help="Largest upload, MiB.", rich_help_panel=REST)] = 64,
    max_megapixels: Annotated[
        float | None, typer.Option(min=0.001, help="Largest picture.  [default: 16]", rich_help_panel=REST)
    ] = None,
    device: Device = "auto",
    backend: Backend = "auto",
) -> None:
    """Serve engines over HTTP: a picture in, a picture out.

    Its page, with what each engine takes, is at the address that it prints. Ctrl-C or SIGTERM ends it, once what it has
    accepted is answered.

    Example: `pix2rt serve edges2photo inpaint`

    Example: `curl --data-binary @sketch.png -H content-type:image/png http://127.0.0.1:8000/v1/edges2photo/translate`
    """
    with extra_needed("pix2rt serve", "serve"):
        from runtime.server.guard import LOOPBACK
        from runtime.server.inference import Workers
        from runtime.server.line import Line
        from runtime.server.parallel import choose, given
        from runtime.server.serve import LOCAL_HOSTS, SECONDS_TO_END, address_of, listen, raise_file_limit
        from runtime.server.serve import serve as run
        from runtime.server.service import guarded, service
    paths = [require_file(engine_path(engine), "engine") for engine in engines]
    with contextlib.closing(listen(host, port, 1)) as opened:
        with err.status("load the engines"):
            parallel = given(calls, threads) if calls or threads else choose(paths, device, backend)
            line = Line("calls", parallel.calls, queue)
            workers = Workers.open(paths, device, backend, parallel.threads, line=line, keeps_going=True)
        for name, error in workers.failed.items():
            note(f"engine {name} is not served: {error}")
        is_local = host in LOCAL_HOSTS
        if not is_local and not token:
            token = secrets.token_urlsafe(24)
            note(f"token: {token}")
        hosts = LOOPBACK if is_local else None
        app = guarded(service(workers, line, timeout), timeout, hosts=hosts, token=token, max_upload=max_upload * 2**20)
        note(str(parallel))

        if max_megapixels is not None or megapixels() == DEFAULT_MEGAPIXELS:
            limit_megapixels(max_megapixels or _MEGAPIXELS)
        raise_file_limit()

        def started() -> None:
            print(address_of(opened), flush=True)

        with contextlib.suppress(SystemExit):  # SIGTERM: all that was accepted is answered
            run(app, opened, started, timeout + SECONDS_TO_END)
