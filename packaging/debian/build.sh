#!/usr/bin/env bash
# Builds inepro-logger_VERSION_ARCHITECTURE.deb: packaging/debian/build.sh [DIRECTORY]
# The package brings its libraries along, made for the Python of the machine that builds:
# build it on the release of Debian that it is for. Needs python3-venv and dpkg-deb.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-dist}")
python=${PYTHON:-/usr/bin/python3}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' logger/__init__.py)
minor=$("$python" -c 'import sys; print(f"3.{sys.version_info.minor}")')
next=$("$python" -c 'import sys; print(f"3.{sys.version_info.minor + 1}")')
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/stage
lib=$stage/usr/lib/inepro-logger

"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-compile \
  -c requirements.lock --target "$lib" ".[metrics,mqtt,http]"
rm -rf "$lib/bin"
"$python" -m compileall -q -s "$stage" "$lib"

install -D -m 755 packaging/debian/inepro-logger "$stage/usr/bin/inepro-logger"
install -d -m 755 "$stage/usr/lib/systemd/system"
sed -e 's|/opt/inepro-logger/bin/inepro-logger|/usr/bin/inepro-logger|' -e '1,/^$/d' \
  config/inepro-logger.service >"$stage/usr/lib/systemd/system/inepro-logger.service"
install -D -m 644 packaging/debian/sysusers.conf "$stage/usr/lib/sysusers.d/inepro-logger.conf"
install -D -m 644 packaging/debian/tmpfiles.conf "$stage/usr/lib/tmpfiles.d/inepro-logger.conf"
documents=$stage/usr/share/doc/inepro-logger
install -D -m 644 LICENSE "$documents/copyright"
install -d -m 755 "$documents/examples"
sed 's|^path = "../data/buffer.sqlite"$|path = "/var/lib/inepro-logger/buffer.sqlite"|' \
  config/logger.toml >"$documents/examples/logger.toml"
chmod 644 "$documents/examples/logger.toml"
install -D -m 644 CHANGELOG.md "$documents/changelog"
gzip -9n "$documents/changelog"

install -d -m 755 "$stage/DEBIAN"
for script in postinst prerm postrm; do
  install -m 755 "packaging/debian/$script" "$stage/DEBIAN/$script"
done
size=$(du -sk --exclude=DEBIAN "$stage" | cut -f1)
cat >"$stage/DEBIAN/control" <<CONTROL
Package: inepro-logger
Version: $version
Architecture: $architecture
Maintainer: The inepro-logger developers <maintainers@example.org>
Installed-Size: $size
Depends: python3 (>= $minor), python3 (<< $next), systemd
Section: utils
Priority: optional
Homepage: https://example.org/inepro-logger
Description: data logger for Inepro energy meters
 Reads the meters over RS-485 and M-Bus, keeps every point in a buffer on disk until
 InfluxDB has acknowledged it, and brings dashboards and alerts for Grafana.
CONTROL
(cd "$stage" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz -z2 --build "$stage" \
  "$out/inepro-logger_${version}_${architecture}.deb"
