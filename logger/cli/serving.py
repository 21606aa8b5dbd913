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


def wait(seconds: float | None, *texts: str) -> None:
    """Print `texts` and return after `seconds`, or when asked to stop: from the first text
    on that ends it in order."""
    from logger.runtime.signals import on_stop

    with on_stop() as stop:
        for text in texts:
            typer.echo(text)
        stop.wait(seconds)
