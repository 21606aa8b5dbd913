#!/bin/bash
# Backup, restore and upgrade of the compose stack. Run it beside docker-compose.yml:
#   ./stack.sh backup [DIRECTORY]   into backups/DATE unless named; nothing stops reading
#   ./stack.sh restore DIRECTORY    everything of a backup; what is there is replaced
#   ./stack.sh tokens               make lost tokens anew, for logger and Grafana
#   ./stack.sh upgrade              backup, new images, new dashboards, start
# It needs nothing that docker-compose 1.29 does not have; COMPOSE names another one.
set -euo pipefail
umask 077
cd "$(dirname "$0")"
compose=${COMPOSE:-docker compose}
[ -n "${COMPOSE:-}" ] || docker compose version >/dev/null 2>&1 || compose=docker-compose
there=/tmp/inepro-backup
readers="logger demo-meters demo-logger"

inside() { $compose exec -T influxdb "$@"; }

# The containers of a service, also those that stand still; old and new tools give them
# different names, but the same labels.
containers() { # SERVICE [FILTER]
  local name
  # The last line counts, as for the tools, and their quotes are no part of it.
  name=${COMPOSE_PROJECT_NAME:-$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' .env 2>/dev/null |
    tail -n 1 | tr -d "\"'")}
  docker ps -aq --filter "label=com.docker.compose.service=$1" \
    --filter "label=com.docker.compose.oneoff=False" \
    --filter "label=com.docker.compose.project=${name:-$(basename "$PWD")}" "${@:2}"
}

container() { # SERVICE
  local found
  found=$(containers "$1" | head -n 1)
  [ -n "$found" ] || { echo "there is no container of $1: $compose up -d" >&2; return 1; }
  echo "$found"
}

# The profiles that run: a demo goes on as a demo.
profiles() {
  if [ -n "$(containers demo-logger --filter status=running)" ]; then echo demo; fi
  if [ -n "$(containers logger --filter status=running)" ]; then echo default; fi
}

use_profiles() { # of standard input; without any, those of .env
  local found
  found=$(paste -sd, -)
  [ -z "$found" ] || export COMPOSE_PROFILES="$found"
}

wait_for_influxdb() {
  local id
  $compose up -d influxdb
  id=$(container influxdb)
  while :; do
    case $(docker inspect -f '{{.State.Health.Status}}' "$id") in
      healthy) return ;;
      unhealthy) echo "InfluxDB does not start: $compose logs influxdb" >&2; return 1 ;;
    esac
    sleep 1
  done
}

tokens() {
  local name
  inside /docker-entrypoint-initdb.d/10-buckets-and-tokens.sh
  for name in grafana $readers; do
    containers "$name" | xargs -r docker restart >/dev/null
  done
}

backup() {
  local copied to=${1:-backups/$(date +%Y-%m-%d-%H%M%S)}
  [ ! -e "$to" ] || { echo "$to exists already" >&2; return 1; }
  mkdir -p "$to"
  inside rm -rf "$there"
  inside influx backup "$there"
  docker cp "$(container influxdb):$there" "$to/influxdb"
  inside rm -rf "$there"
  # Users and dashboards of your own; Grafana stands still for the moment of the copy.
  $compose stop grafana
  copied=0
  docker cp "$(container grafana):/var/lib/grafana/grafana.db" "$to/grafana.db" || copied=$?
  $compose start grafana # also when the copy failed
  [ "$copied" = 0 ] || { echo "$to is no backup: Grafana was not copied" >&2; return 1; }
  cp -p .env "$to/env"
  cp -pr config "$to/config"
  profiles >"$to/profiles"
  echo "$to holds InfluxDB, Grafana, .env and config: keep it where only you can read it"
}

restore() {
  local from=${1:?which backup}
  [ -d "$from/influxdb" ] && [ -s "$from/env" ] || { echo "$from is no backup" >&2; return 1; }
  read -r -p "This replaces what InfluxDB and Grafana hold now. Go on? [y/N] " answer || true
  [ "${answer:-}" = y ] || { echo "nothing was changed: it goes on with y only" >&2; return 1; }
  [ ! -e .env ] || cp -p .env ".env.before-restore"
  cp -p "$from/env" .env
  cp -pr "$from/config/." config/
  if [ -e "$from/profiles" ]; then use_profiles <"$from/profiles"; fi
  wait_for_influxdb
  inside rm -rf "$there"
  docker cp "$from/influxdb" "$(container influxdb):$there"
  # InfluxDB keeps only hashes: from here on it knows the operator's token of the backup, which
  # is in its .env, and no longer the one that it was set up with.
  inside sh -c 'influx restore --full --operator-token "$DOCKER_INFLUXDB_INIT_ADMIN_TOKEN" "$1" &&
    influx config set --config-name default --token "$DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"' \
    restore "$there" >/dev/null
  # The tokens of the backup are those of another volume: make new ones.
  inside rm -rf "$there" /tokens/logger/influxdb /tokens/grafana/influxdb
  inside /docker-entrypoint-initdb.d/10-buckets-and-tokens.sh
  $compose up --no-start --no-deps grafana
  docker cp "$from/grafana.db" "$(container grafana):/var/lib/grafana/grafana.db"
  $compose run --rm --no-deps --user 0 --entrypoint chown grafana \
    472:0 /var/lib/grafana/grafana.db
  $compose up -d --force-recreate
  echo "Restored. What was read since the backup and is still in the buffer is sent again by:" \
    "$compose exec logger inepro-logger buffer replay --from 2d"
}

upgrade() {
  local former
  use_profiles < <(profiles)
  backup
  former=$(git rev-parse --short HEAD)
  git pull --ff-only
  $compose pull influxdb grafana
  $compose build --pull
  $compose up -d --remove-orphans
  echo "Running. If it is not as before: git checkout $former, $compose build, then restore the" \
    "backup above; how the former version gets a buffer: docs/stack.md"
}

case ${1:-} in
  backup | restore | tokens | upgrade) "$@" ;;
  *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
