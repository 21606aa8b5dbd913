"""What the system keeps of a connection (Linux: proc(5), /proc/net/tcp)."""

from __future__ import annotations

import socket
import time
from pathlib import Path

_LOOKS = 100


def _kept(own: int, other: int) -> int | None:
    """Return how many bytes are on their way from `other` to `own`, both of this machine, or
    wait there; None when the sender has ended the connection."""
    sending, waiting = None, 0
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        ports = int(local.split(":")[1], 16), int(remote.split(":")[1], 16)
        out, come = (int(one, 16) for one in queues.split(":"))
        if ports == (other, own):
            sending = out
        elif ports == (own, other):
            waiting = come
    return None if sending is None else sending + waiting


def most_kept_for(client: socket.socket) -> int:
    """Return how many bytes the system keeps for a client that takes nothing, when they do not
    become more any more, or the client was cut off."""
    own, other = client.getsockname()[1], client.getpeername()[1]
    seen, same = 0, 0
    while same < _LOOKS:
        now = _kept(own, other)
        if now is None and seen:
            break
        same = same + 1 if now and now <= seen else 0
        seen = max(seen, now or 0)
        time.sleep(0.02)
    return seen
