#!/bin/bash
# Backup, restore and upgrade of the compose stack. Run it beside docker-compose.yml:
#   ./stack.sh backup [DIRECTORY]   into backups/DATE unless named; nothing stops reading
#   ./stack.sh restore DIRECTORY    everything of a backup; what is there is replaced
#   ./stack.sh tokens               make lost tokens anew, for logger and Grafana
#   ./stack.sh upgrade              backup, new images, new dashboards, start
set -euo pipefail
umask 077
cd "$(dirname "$0")"
compose=${COMPOSE:-docker compose}
there=/tmp/inepro-backup

inside() { $compose exec -T influxdb "$@"; }

tokens() {
  inside /docker-entrypoint-initdb.d/10-buckets-and-tokens.sh
  $compose restart grafana
  for name in logger demo-logger; do
    if $compose ps --services | grep -qx "$name"; then $compose restart "$name"; fi
  done
}

backup() {
  local to=${1:-backups/$(date +%Y-%m-%d-%H%M%S)}
  [ ! -e "$to" ] || { echo "$to exists already" >&2; return 1; }
  mkdir -p "$to"
  inside rm -rf "$there"
  inside influx backup "$there"
  $compose cp "influxdb:$there" "$to/influxdb"
  inside rm -rf "$there"
  # Users and dashboards of your own; Grafana stands still for the moment of the copy.
  $compose stop grafana
  $compose cp grafana:/var/lib/grafana/grafana.db "$to/grafana.db"
  $compose start grafana
  cp -p .env "$to/env"
  cp -pr config "$to/config"
  echo "$to holds InfluxDB, Grafana, .env and config: keep it where only you can read it"
}

restore() {
  local from=${1:?which backup}
  [ -d "$from/influxdb" ] && [ -s "$from/env" ] || { echo "$from is no backup" >&2; return 1; }
  read -r -p "This replaces what InfluxDB and Grafana hold now. Go on? [y/N] " answer
  [ "$answer" = y ] || return 1
  [ ! -e .env ] || cp -p .env ".env.before-restore"
  cp -p "$from/env" .env
  cp -pr "$from/config/." config/
  $compose up -d --wait influxdb
  inside rm -rf "$there"
  $compose cp "$from/influxdb" "influxdb:$there"
  inside influx restore --full "$there"
  # The tokens of the backup are those of another volume: make new ones.
  inside rm -rf "$there" /tokens/logger/influxdb /tokens/grafana/influxdb
  inside /docker-entrypoint-initdb.d/10-buckets-and-tokens.sh
  $compose create grafana
  $compose cp "$from/grafana.db" grafana:/var/lib/grafana/grafana.db
  $compose run --rm --no-deps --user 0 --entrypoint chown grafana \
    472:0 /var/lib/grafana/grafana.db
  $compose up -d --force-recreate
}

upgrade() {
  backup
  git pull --ff-only
  $compose pull --ignore-buildable
  $compose build --pull
  $compose up -d --remove-orphans
  echo "Running. If it is not as before: git checkout the former commit, then restore."
}

case ${1:-} in
  backup | restore | tokens | upgrade) "$@" ;;
  *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
