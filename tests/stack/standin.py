"""What runs in the container `influxdb`: influxd of Debian behind the translator.

As the image of InfluxDB 2 does, it runs the scripts of /docker-entrypoint-initdb.d before
anybody else is heard. It ends well with SIGINT alone.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
from pathlib import Path

from tests.engines.influx import InfluxServer
from tests.engines.translator import Translator

TOKEN = "a-token-that-may-read-and-write"
INITIAL = "/docker-entrypoint-initdb.d"


def main() -> None:
    """Serve until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    signal.signal(signal.SIGTERM, lambda *_: os._exit(2))  # as InfluxDB 2.9 does
    bucket, org = (os.environ[f"DOCKER_INFLUXDB_INIT_{name}"] for name in ("BUCKET", "ORG"))
    Path("/srv/token").write_text(TOKEN, encoding="utf-8")
    with InfluxServer(Path("/var/lib/influxdb2")) as server:
        if bucket not in server.buckets():
            server.create_bucket(bucket)
            operator = os.environ["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"]
            kept = hashlib.sha512(operator.encode()).hexdigest()
            Path("/var/lib/influxdb2/operator").write_text(kept, encoding="utf-8")
            Path("/etc/influxdb2/influx-configs").write_text(operator, encoding="utf-8")
        scripts = ["run-parts", "--regex", ".*sh$", "--report", "--exit-on-error", INITIAL]
        subprocess.run(scripts, check=True)
        with Translator(server.url, token=TOKEN, org=org, host="0.0.0.0", port=8086):
            ended.wait()
        server.stop()


if __name__ == "__main__":
    main()
