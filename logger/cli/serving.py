"""What the commands that serve virtual meters share."""

from __future__ import annotations

import typer


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of a `tcp://` URL; the default when `text` is empty."""
    from urllib.parse import urlsplit

    url = text or "tcp://127.0.0.1:5020"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not url.startswith("tcp://") or host is None or port is None:
        raise typer.BadParameter(f"{text!r}: write --listen tcp://127.0.0.1:5020")
    return host, port


def wait(seconds: float | None) -> None:
    """Return after `seconds`, or upon Ctrl-C or SIGTERM."""
    import signal
    import threading

    done = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: done.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        done.wait(seconds)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
