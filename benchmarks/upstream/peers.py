"""The gateways of others that the benchmark runs, each in a place of its own under build/bench.

nginx comes from the system (`apt-get install nginx-light`); LiteLLM from PyPI into an environment
that is thrown away with `make clean`; Portkey from npm. One that cannot be had is named and left
out, never replaced by a figure from elsewhere.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from upstream.built import PLACE, free_port
from upstream.processes import served

LITELLM = "litellm[proxy]"
PORTKEY = "@portkey-ai/gateway"

NGINX_CONF = """\
worker_processes 1; daemon off; pid {place}/nginx.pid; error_log {place}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {place}/tmp; proxy_temp_path {place}/tmp; fastcgi_temp_path {place}/tmp;
  uwsgi_temp_path {place}/tmp; scgi_temp_path {place}/tmp;
  keepalive_requests 1000000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_buffering off; }}
  }}
}}
"""
LITELLM_CONF = """\
model_list:
  - model_name: mock
    litellm_params: {{model: openai/mock, api_base: "http://127.0.0.1:{upstream}/v1", api_key: k}}
  - model_name: mock-paced
    litellm_params:
      {{model: openai/mock-paced, api_base: "http://127.0.0.1:{upstream}/v1", api_key: k}}
litellm_settings: {{telemetry: false}}
"""


class Peer(Struct, frozen=True):
    """A gateway that runs: where, as which process, and what its requests need."""

    port: int
    pid: int
    headers: tuple[str, ...] = ()


class Missing(Exception):
    """A peer that is not on this machine, and how to get it."""


@contextmanager
def nginx(upstream: int) -> Iterator[Peer]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise Missing("nginx is not installed: `apt-get install nginx-light`")
    place, port = PLACE / "nginx", free_port()
    (place / "tmp").mkdir(parents=True, exist_ok=True)
    conf = place / "nginx.conf"
    conf.write_text(NGINX_CONF.format(place=place, upstream=upstream, port=port))
    command = [program, "-p", str(place), "-c", str(conf)]
    with served(command, port, log=place / "out.log") as pid:
        yield Peer(port, pid)


@contextmanager
def litellm(upstream: int) -> Iterator[Peer]:
    place, port = PLACE / "litellm", free_port()
    if not (place / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        _installed([str(place / "bin" / "pip"), "install", "--quiet", LITELLM], "LiteLLM")
        (place / "ready").touch()
    conf = place / "config.yaml"
    conf.write_text(LITELLM_CONF.format(upstream=upstream))
    command = [place / "bin" / "litellm", "--config", conf, "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1"]
    unlocked = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with served(command, port, folder=place, environment=unlocked, log=place / "out.log") as pid:
        yield Peer(port, pid)


@contextmanager
def portkey(upstream: int) -> Iterator[Peer]:
    place, port = PLACE / "portkey", free_port()
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise Missing("node and npm are not installed: `apt-get install nodejs npm`")
    start = place / "node_modules" / PORTKEY / "build" / "start-server.js"
    if not start.exists():
        place.mkdir(parents=True, exist_ok=True)
        _installed([npm, "install", "--silent", "--prefix", str(place), PORTKEY], "Portkey")
    command = [node, start, f"--port={port}", "--headless"]
    headers = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
    )
    with served(command, port, folder=place, log=place / "out.log") as pid:
        yield Peer(port, pid, headers)


@contextmanager
def stepdown(folder: Path, *options: str) -> Iterator[Peer]:
    """Run `stepdown serve` on a project."""
    port = free_port()
    program = Path(sys.executable).with_name("stepdown")
    command = [program, "serve", "-p", folder, "--port", str(port), *options]
    with served(command, port, log=PLACE / "stepdown.log") as pid:
        yield Peer(port, pid)


def _installed(command: list[str], name: str) -> None:
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise Missing(f"{name} could not be installed by `{' '.join(command[:3])} ...`")
