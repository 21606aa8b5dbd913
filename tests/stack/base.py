"""The image that stands in for python:3.13-slim: Debian by debootstrap, with an influxd.

Where packages come from is what this machine says: its sources of apt, its proxy, its
certificates and pip's settings. Nothing of that is known here.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

from tests.stack.engine import PATIENCE_S, Engine, NoEngineError, as_root

BASE = "inepro-logger-tests:base"
IMAGE = "inepro-logger-tests:local"
# With Python 3.13, as the Dockerfile wants it; where Debian is another one, its own release.
RELEASE = "trixie"
PACKAGES = (
    "ca-certificates", "curl", "influxdb", "python3", "python3-pip", "python3-pytest",
    "python3-urllib3", "python3-venv",
)  # fmt: skip
_BUNDLE = Path("etc/ssl/certs/ca-certificates.crt")
# The settings of pip that say where packages come from.
_PLACES = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


def _root(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    parts = [*as_root(), *map(str, command)]
    done = subprocess.run(
        parts, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if done.returncode:
        raise NoEngineError(f"{' '.join(parts)}: {(done.stdout + done.stderr)[-1500:]}")


def source() -> tuple[str, str, str]:
    """Return mirror, release and components by what this machine's apt has read."""
    form = "$(REPO_URI) $(ORIGIN) $(CODENAME) $(COMPONENT)"
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in said.stdout.splitlines():
        uri, _, rest = line.partition(" ")
        origin, _, rest = rest.partition(" ")
        codename, _, component = rest.partition(" ")
        if component != "main" or "-" in codename or "security" in uri:
            continue
        if origin == "Debian":
            return uri, RELEASE, "main"
        if origin == "Ubuntu":
            return uri, codename, "main,universe"
    raise NoEngineError("apt knows no archive of Debian: apt-get update")


def _proxy() -> dict[str, str]:
    said = subprocess.run(
        ["apt-config", "shell", "PROXY", "Acquire::http::Proxy"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    value = said.partition("=")[2].strip("'\"")
    return {"http_proxy": value, **os.environ} if value else dict(os.environ)


def pip_settings() -> dict[str, str]:
    """Return where this machine's pip gets its packages from, by files and environment."""
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip is None:
        return {}
    said = subprocess.run([pip, "config", "list"], capture_output=True, text=True, check=False)
    found = {}
    for line in said.stdout.splitlines():  # section.name='value'
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in _PLACES:
            found[key] = str(ast.literal_eval(value))
    return found


def _bundle() -> Path | None:
    """Return the certificates that this machine trusts."""
    for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"):
        if Path(os.environ.get(name, "")).is_file():
            return Path(os.environ[name])
    return Path("/", _BUNDLE) if Path("/", _BUNDLE).is_file() else None


def _settings(directory: Path) -> None:
    """Write what pip and uv must know into `etc`, a directory that is copied to /etc."""
    found = pip_settings()
    rows = ["[global]", "break-system-packages = true"]  # the image of Python is no Debian
    rows += [f"{name} = {' '.join(value.split())}" for name, value in found.items()]
    (directory / "uv").mkdir(parents=True)
    (directory / "pip.conf").write_text("\n".join([*rows, ""]), encoding="utf-8")
    rows = ["native-tls = true"]  # the certificates of the system
    if "index-url" in found:
        rows += ["[[index]]", f'url = "{found["index-url"]}"', "default = true"]
    (directory / "uv" / "uv.toml").write_text("\n".join([*rows, ""]), encoding="utf-8")


def make_base(engine: Engine, directory: Path) -> None:
    """Make the image BASE. Raises NoEngineError when Debian cannot be had."""
    root, etc = directory / "root", directory / "etc"
    mirror, release, components = source()
    _root(
        "debootstrap", "--variant=minbase", f"--components={components}",
        f"--include={','.join(PACKAGES)}", release, root, mirror, environment=_proxy(),
    )  # fmt: skip
    _settings(etc)
    _root("cp", "-r", f"{etc}/.", root / "etc")
    if (bundle := _bundle()) is not None:
        _root("cp", bundle, root / _BUNDLE)
    _root("ln", "-s", "/usr/bin/python3", root / "usr/local/bin/python")
    _root("rm", "-rf", root / "var/lib/apt/lists", root / "var/cache/apt")
    pack = [*as_root(), "tar", "-C", str(root), "-c", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as tar:
        subprocess.run(
            ["docker", "import", "-", BASE],
            stdin=tar.stdout, env=engine.environment, capture_output=True, check=True,
        )  # fmt: skip
    assert tar.returncode == 0
    _root("rm", "-rf", root)


def make_image(engine: Engine, directory: Path, checkout: Path) -> None:
    """Build the project's image from its own Dockerfile, on BASE."""
    lines = (checkout / "Dockerfile").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.startswith("FROM "):
            lines[number] = " ".join(["FROM", BASE, *line.split()[2:]])
    dockerfile = directory / "Dockerfile"
    dockerfile.write_text("\n".join([*lines, ""]), encoding="utf-8")
    engine.build(dockerfile, checkout, IMAGE)
