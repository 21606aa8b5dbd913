"""What a running logger loads: a machine with little memory has to bear it for years."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.running import ROOT

# A write to a server that takes it, and what the process has loaded then.
_WRITE = """
import sys, threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print(self.path, self.headers["Authorization"], self.headers["Content-Encoding"])
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
@dataclass
class Target:
    url: str = f"http://127.0.0.1:{server.server_port}/"
    org: str = "my home"
    timeout: float = 60.0
    gzip: bool = True
    def token(self):
        return "the-token"
from logger.influx.write import Client
assert Client(Target(), "energy").write(["m f=1 1"]).kind == "delivered"
print(*sorted({name.partition(".")[0] for name in sys.modules}))
import influxdb_client
print(influxdb_client.InfluxDBClient.__name__)
"""


def test_a_write_takes_of_the_client_library_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WRITE], capture_output=True, text=True, check=True, cwd=ROOT
    )
    request, loaded, whole = done.stdout.splitlines()
    assert request == ("/api/v2/write?org=my+home&bucket=energy&precision=ms Token the-token gzip")
    heavy = {"influxdb_client", "reactivex", "numpy", "pandas", "dateutil", "asyncio", "rich"}
    assert not heavy & set(loaded.split())
    assert whole == "InfluxDBClient"  # who wants all of the library gets it


# A logger of one meter, built and read by: what the process has loaded then.
_APP = """
import sys
from pathlib import Path
from logger.cli.run import run
from logger.config import load_config
from logger.runtime.app import App
from logger.runtime.daemon import serve
app = App(load_config(Path(sys.argv[1])))
serve(app, 0.0)
print(*sys.modules)
import asyncio, multiprocessing, concurrent.futures
from importlib.metadata import entry_points
from apscheduler.executors.pool import ThreadPoolExecutor
assert asyncio.run and multiprocessing.Process and ThreadPoolExecutor().shutdown
assert list(entry_points(group="apscheduler.triggers"))
"""
_CONFIG = """
[site]
name = "home"
[[bus]]
name = "cabinet"
port = "socket://127.0.0.1:1"
meter = [{ name = "grid", model = "pro380", address = 1, role = "grid" }]
[buffer]
path = "buffer.sqlite"
"""


def test_a_start_loads_only_what_the_configuration_asks_for(tmp_path: Path) -> None:
    config = tmp_path / "logger.toml"
    config.write_text(_CONFIG, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _APP, str(config)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    rooms = {f"logger.{room}" for room in ("delivery", "grafana", "influx", "mqtt", "report")}
    rooms |= {f"logger.{room}" for room in ("share", "survey", "transfer", "web")}
    assert not loaded & rooms
    assert not loaded & {"logger.bus.mbus", "logger.meter.mbusreader", "html.entities"}
    heavy = {"asyncio", "http.client", "influxdb_client", "multiprocessing", "paho"}
    heavy |= {"prometheus_client", "rich", "ssl", "starlette", "urllib3", "uvicorn"}
    assert not loaded & heavy
