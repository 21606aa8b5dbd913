"""A process that reads, commits and delivers for ever, to be killed at any moment.

`python -m tests.engines.appender BUFFER START [URL BUCKET TOKEN]`: appends numbered
points from START on and prints each number once it is committed. With a URL it delivers
them too. Rows are purged and pages given back as fast as it can.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from logger.buffer import Buffer, writer
from logger.config import Influx
from logger.delivery import Delivery
from tests.engines.rig import energy, now_ms, power


def main() -> None:
    path, start, *target = sys.argv[1:]
    writer._SHRINK_FREE = 0  # give space back at once, so that this is killed too
    buffer = Buffer(
        Path(path), commit_interval_s=0.005, keep_s=0.05, max_size=500_000_000, now_ms=now_ms
    )
    buffer.open()
    if target:
        url, bucket, token = target
        os.environ["INFLUXDB_TOKEN"] = token
        influx = Influx(url=url, org="home", bucket=bucket, timeout=5.0)
        Delivery(buffer, influx, now_ms=now_ms).start()
    number = int(start)
    with contextlib.suppress(BrokenPipeError):
        while True:
            for _ in range(5):
                buffer.append([*power(number), *energy(number)])
                number += 1
            buffer.keeper.maintain_at = 0.0
            if buffer.flush(60.0):  # a commit waits for the disk, and so for all others
                print(number - 1, flush=True)
            else:
                print("fault", buffer.state().problem, flush=True)
                time.sleep(0.05)


if __name__ == "__main__":
    main()
