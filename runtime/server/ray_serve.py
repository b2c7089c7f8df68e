"""The API on a Ray cluster: replicas on as many machines as there are, started, scaled and restarted by Ray Serve.

    serve run runtime.server.ray_serve:app engines=edges2photo,inpaint replicas=2

Requests, answers and problems are those of `pix2rt serve`. Without the variable PIX2RT_TOKEN only requests addressed to
this machine are answered.
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent; it must be known before the import

from pydantic import BaseModel, Field
from ray import serve
from starlette.types import ASGIApp

from runtime.engines.names import engine_path
from runtime.files import require_file
from runtime.server.guard import LOOPBACK
from runtime.server.inference import Workers
from runtime.server.line import Line
from runtime.server.service import guarded, service


class Options(BaseModel):
    """What `serve run` takes as NAME=VALUE, or a configuration file as `args`.

    Attributes:
        engines: files or names, with commas between them; every replica holds all of them.
        replicas: at least.
        max_replicas: at most, as load grows; as many as `replicas` if not given.
        cpus: that each replica takes.
        gpus: likewise; parts of one are fine.
        calls: of engines at once in a replica.
        threads: CPU threads of each; those that `cpus` leave it if not given.
        queue: requests that a replica keeps at once.
        timeout: seconds for an upload, and again for its answer.
        max_upload: MiB.
        device: as `pix2rt serve --device`.
        backend: likewise.
    """

    engines: str
    replicas: int = Field(1, ge=1)
    max_replicas: int | None = Field(None, ge=1)
    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)
    calls: int = Field(1, ge=1)
    threads: int | None = Field(None, ge=1)
    queue: int = Field(32, ge=1)
    timeout: float = Field(60, ge=1)
    max_upload: int = Field(64, ge=1)
    device: str = "auto"
    backend: str = "auto"

    def paths(self) -> list[Path]:
        """Of the engines' files."""
        return [require_file(engine_path(Path(name)), "engine").absolute() for name in self.engines.split(",")]


def _asgi(options: Options) -> ASGIApp:
    """The application of one replica, with engines of its own."""
    line = Line("calls", options.calls, options.queue)
    threads = options.threads or max(1, int(options.cpus) // options.calls)
    workers = Workers.open(options.paths(), options.device, options.backend, threads, line=line, keeps_going=True)
    token = os.environ.get("PIX2RT_TOKEN") or None
    hosts = None if token else LOOPBACK
    limits: dict[str, Any] = {"hosts": hosts, "token": token, "max_upload": options.max_upload * 2**20}
    return guarded(service(workers, line, options.timeout), options.timeout, **limits)


def app(options: Options) -> serve.Application:
    """What `serve run` calls.

    Raises:
        MissingFileError: an engine is not there.
    """
    options.paths()  # before anything starts
    scaling: dict[str, Any] = {"num_replicas": options.replicas}
    if options.max_replicas and options.max_replicas > options.replicas:
        limits = {"min_replicas": options.replicas, "max_replicas": options.max_replicas}
        scaling = {"autoscaling_config": limits | {"target_ongoing_requests": 2 * options.calls}}
    replica = serve.deployment(
        name="pix2rt",
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        max_ongoing_requests=options.queue,
        graceful_shutdown_timeout_s=options.timeout,
        **scaling,
    )
    application: serve.Application = replica(serve.ingress(lambda: _asgi(options))()).bind()
    return application
