"""All files of Grafana's provisioning: data sources, dashboards, alerting.

Nothing here knows a version of Grafana: the files are those of 9.5 to 13. (A 9.4 reads the
name of the database from `database` alone, and empties it at its first start, when it moves secrets
to another table: grafana/grafana#62790. Its second start reads the files again, and has it.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from logger.disk.newfiles import writing
from logger.grafana import (
    alerts,
    centres,
    health,
    home,
    meters,
    notify,
    phases,
    quality,
    solar,
    tariffs,
)
from logger.grafana.notify import literal
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import ENERGY, LIVE, TAG, Json
from logger.grafana.patience import patient

BOARDS = "dashboards"  # Grafana skips other files than YAML there
# Of which Grafana looks for files, too: without the directory its log begins with an error.
_LOOKED_FOR = ("plugins", "notifiers")
_EVERY_BOARD = ("home", "meters", "centres", "phases", "energy", "pv", "quality", "logger")
DASHBOARD_FOLDER = "Energy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How Grafana reaches InfluxDB: the token's file is one that Grafana can read."""

    url: str = "http://localhost:8086"
    bucket: str = "energy"
    fast_bucket: str = "live"
    token_file: str = "/etc/grafana/influxdb-token"  # noqa: S105 - a path, not a secret


def dashboards(settings: DashboardOptions) -> dict[str, Json]:
    """Return every dashboard by the name of its file, for what the meters measure."""
    made = {
        "home": home.home(settings),
        **({"meters": meters.meters(settings)} if settings.meters > 1 else {}),
        **({"centres": centres.centres(settings)} if settings.centres else {}),
        **({"phases": phases.phases(settings)} if phases.shows(settings) else {}),
        "energy": tariffs.tariffs(settings),
        **({"pv": solar.solar(settings)} if settings.has("pv") else {}),
        "quality": quality.quality(settings),
        "logger": health.health(settings),
    }
    return {
        f"{name}.json": patient(board, settings.fast_s, settings.slowest_s)
        for name, board in made.items()
    }


def _source(name: str, known: Json, bucket: str, source: Source, *, default: bool) -> Json:
    return {
        "name": name,
        "uid": known["uid"],
        "type": "influxdb",
        "access": "proxy",
        "orgId": 1,
        "url": literal(source.url),
        "isDefault": default,
        "editable": False,
        # The name of the database stood here before Grafana 9.5, since then in `dbName`.
        "database": literal(bucket),
        "user": "grafana",
        "jsonData": {
            "version": "InfluxQL",
            "dbName": literal(bucket),
            "httpMode": "POST",
            "timeInterval": "5s",
            "httpHeaderName1": "Authorization",
        },
        "secureJsonData": {"httpHeaderValue1": f"Token $__file{{{source.token_file}}}"},
    }


def _provider(path: PurePosixPath) -> Json:
    return {
        "name": TAG,
        "orgId": 1,
        "folder": DASHBOARD_FOLDER,
        "folderUid": "inepro-energy",
        "type": "file",
        "disableDeletion": False,
        "updateIntervalSeconds": 30,
        "allowUiUpdates": False,
        "options": {"path": literal(str(path)), "foldersFromFilesStructure": False},
    }


def files(
    settings: DashboardOptions,
    source: Source,
    place: PurePosixPath,
    given: Mapping[str, str],
) -> dict[str, str]:
    """Return the text of every file by its path below `place`.

    `place` is where Grafana sees these files; `given` the environment that chooses the
    contact points.
    """
    boards = dashboards(settings)
    sources = [
        _source("energy", ENERGY, source.bucket, source, default=True),
        _source("live", LIVE, source.fast_bucket or source.bucket, source, default=False),
    ]
    made: dict[str, Json] = {f"{BOARDS}/{name}": board for name, board in boards.items()}
    made["datasources/inepro-logger.yaml"] = {"apiVersion": 1, "datasources": sources}
    made["dashboards/inepro-logger.yaml"] = {
        "apiVersion": 1,
        "providers": [_provider(place / BOARDS)],
    }
    made["alerting/inepro-rules.yaml"] = alerts.rules(settings, list(boards.values()))
    made["alerting/inepro-notifications.yaml"] = notify.notifications(settings, given)
    # JSON is YAML too, and needs no library to write.
    return {path: json.dumps(made[path], indent=2, ensure_ascii=False) + "\n" for path in made}


def write(made: Mapping[str, str], out: Path) -> list[str]:
    """Write the files below `out`; return the paths of those that changed or went: dashboards
    that were made of another configuration, which Grafana removes with their file.

    Raises ExportError.
    """
    changed = []
    for name in _LOOKED_FOR:
        with writing(out / name):
            (out / name).mkdir(parents=True, exist_ok=True)
    for path in sorted({f"{BOARDS}/{name}.json" for name in _EVERY_BOARD} - made.keys()):
        target = out / path
        with writing(target):
            if not target.is_file() or b'"inepro-' not in target.read_bytes():
                continue
            target.unlink()
        changed.append(path)
    for path, text in made.items():
        target = out / path
        with writing(target):
            if target.exists() and target.read_bytes() == text.encode():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(target)  # Grafana may be reading
        changed.append(path)
    return changed
