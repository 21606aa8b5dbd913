#!/bin/bash
# Buckets and tokens of inepro-logger. The image of InfluxDB runs this once, on its first
# start; it may be run again at any time and then mends only what is missing:
#   docker compose exec influxdb /docker-entrypoint-initdb.d/10-buckets-and-tokens.sh
#
# Each reader of a token has a volume of its own: the logger gets one that may only
# write, Grafana one that may only read. Neither can see the other's.
set -euo pipefail
umask 077

org=${DOCKER_INFLUXDB_INIT_ORG:?}
main=${DOCKER_INFLUXDB_INIT_BUCKET:?}
fast=${LIVE_BUCKET:-live}
retention=${LIVE_RETENTION:-90d}
tokens=${TOKENS:-/tokens}
logger_owner=${LOGGER_OWNER:-10001:10001}
grafana_owner=${GRAFANA_OWNER:-472:0}

# The value of the first "key": "..." in JSON from standard input.
value() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

# Of the list of all: InfluxDB logs it as an error when it is asked for one that is not there.
bucket_id() { # NAME
  influx bucket list --org "$org" --json |
    awk -F '"' -v name="$1" '$2 == "id" { id = $4 } $2 == "name" && $4 == name { print id }'
}

bucket() { # NAME RETENTION
  local id
  id=$(bucket_id "$1")
  if [ -z "$id" ]; then
    influx bucket create --org "$org" --name "$1" --retention "$2" >/dev/null
    id=$(bucket_id "$1")
  fi
  [ -n "$id" ] || { echo "bucket $1 could not be made" >&2; return 1; }
  echo "$id"
}

token() { # WHO OWNER RIGHT: right is read or write
  local file="$tokens/$1/influxdb" value
  if [ -s "$file" ]; then
    echo "token for $1: kept"
    return
  fi
  # The value of a token is shown only when it is made, so a lost one is made anew. The
  # old one stays valid until it is deleted: influx auth list, influx auth delete --id ID.
  value=$(influx auth create --org "$org" --description "inepro-logger: $1" \
    "--$3-bucket" "$main_id" "--$3-bucket" "$fast_id" --json | value token)
  [ -n "$value" ] || { echo "no token for $1 could be made" >&2; return 1; }
  install -d -m 0550 "$tokens/$1"
  printf '%s\n' "$value" >"$file.new"
  chmod 0400 "$file.new"
  chown "$2" "$tokens/$1" "$file.new"
  mv "$file.new" "$file"
  echo "token for $1: made, may $3"
}

main_id=$(bucket "$main" 0)
fast_id=$(bucket "$fast" "$retention")
token logger "$logger_owner" write
token grafana "$grafana_owner" read
