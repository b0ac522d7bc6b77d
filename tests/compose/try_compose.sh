#!/usr/bin/env bash
# Brings the whole stack up against the sandbox, sends companies through it, breaks parts of it, and takes it down.
#
#   tests/compose/try_compose.sh                              with the Docker Engine of this machine
#   DOCKER_LAB=path/to/docker-lab.sh tests/compose/try_compose.sh    with the engine that this script has started
#
# Needs bash, curl and python3. It takes free ports and a project name of its own, so a stack that runs here already
# is left alone; only the image bitrix24-onec-sync is built anew. Exits non-zero at the first claim that does not hold.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ -z "${DOCKER_LAB:-}" ] || eval "$("$DOCKER_LAB" env)"
export FLOWER_BASIC_AUTH=operator:sandbox INGRESS_PORT=0 FLOWER_PORT=0 SANDBOX_PORTAL_PORT=0 SANDBOX_ONEC_PORT=0
PROJECT=sync-try-$$
IMAGE=bitrix24-onec-sync
WAIT_SECONDS=90
HELD=()

# --env-file: a real .env in the checkout must not be read
stack() {
  docker compose --progress quiet --env-file /dev/null -p "$PROJECT" \
    -f docker-compose.yml -f docker-compose.sandbox.yml "$@"
}
up() { stack up -d --wait --wait-timeout "$WAIT_SECONDS" "$@"; }
fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }
held() { HELD+=("$*"); printf 'ok    %s\n' "$*"; }
url() { printf 'http://%s' "$(stack port "$@")"; }
containers() { stack ps -q; }
name_of() { docker inspect -f '{{.Name}}' "$1"; }

finish() {
  local status=$?
  trap - EXIT
  if [ "$status" -ne 0 ]; then stack ps -a; stack logs --no-color --tail 40; fi
  stack down -v --remove-orphans --timeout 20 >/dev/null 2>&1 || status=1
  if [ "$status" -eq 0 ]; then printf '\n%d claims held.\n' "${#HELD[@]}"; else printf '\nFAILED (%s)\n' "$status"; fi
  exit "$status"
}

until_true() {  # until_true WHAT COMMAND...: polls, and fails with WHAT when the time is up
  local what=$1 give_up_at=$((SECONDS + WAIT_SECONDS)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$give_up_at" ] || fail "$what: not within $WAIT_SECONDS s"
    sleep 0.3
  done
}

python_on() {  # python_on URL EXPRESSION: prints what EXPRESSION makes of the JSON document `told`
  curl -fsS "$1" | python3 -c "import json, sys; told = json.load(sys.stdin); print($2)"
}

# ---------- the files
refuses_to_start_without_a_password() {
  local told
  if told=$(env -u FLOWER_BASIC_AUTH docker compose --env-file /dev/null -f docker-compose.yml config -q 2>&1); then
    fail "Compose accepts that FLOWER_BASIC_AUTH is not set"
  fi
  [[ $told == *FLOWER_BASIC_AUTH*.env.example* ]] || fail "the message does not say what to do: $told"
  held "without FLOWER_BASIC_AUTH nothing starts, and the message says what to do"
}

has_nothing_private_in_the_image() {
  local found
  found=$(docker run --rm --user 0 --network none "$IMAGE" find / -xdev -name .env -o -name .git -o -name 'sync*.toml')
  [ -z "$found" ] || fail "in the image: $found"
  found=$(docker image inspect -f '{{range .Config.Env}}{{println .}}{{end}}' "$IMAGE")
  ! grep -E '^(B24|ONEC|FLOWER|SENTRY|REDIS|BROKER)_' <<<"$found" || fail "the image brings settings"
  held "the image brings no .env, no sync.toml and no settings"
}

# ---------- the containers
runs_nothing_as_root() {
  local id
  for id in $(containers); do
    docker top "$id" -eo pid,uid | awk 'NR > 1 && $2 == 0 { exit 1 }' || fail "$(name_of "$id") runs as root"
  done
  held "no process of $(containers | wc -l) containers runs as root"
}

is_locked_down() {
  local id told
  for id in $(containers); do
    told=$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$id")
    [ "$told" = 'true [ALL] [no-new-privileges:true]' ] || fail "$(name_of "$id"): $told"
  done
  held "read-only root, no capabilities, no new privileges"
}

publishes_on_loopback_only() {
  local id hosts
  for id in $(containers); do
    hosts=$(docker inspect -f '{{range .NetworkSettings.Ports}}{{range .}}{{println .HostIp}}{{end}}{{end}}' "$id")
    ! grep -v -e '^127\.0\.0\.1$' -e '^$' <<<"$hosts" || fail "$(name_of "$id") publishes on $hosts"
  done
  held "ports are published on 127.0.0.1 only"
}

keeps_secrets_from_the_door() {
  local names
  names=$(stack exec -T ingress env)
  ! grep -qE '^(B24_WEBHOOK_URL|ONEC_PASSWORD|FLOWER_BASIC_AUTH)=' <<<"$names" || fail "the ingress knows too much"
  held "the ingress has neither the portal's secret nor 1C's password"
}

asks_for_flowers_password() {
  local page; page=$(url flower 5555)/workers
  [ "$(curl -s -o /dev/null -w '%{http_code}' "$page")" = 401 ] || fail "Flower opens without a password"
  curl -fsS -o /dev/null -u "$FLOWER_BASIC_AUTH" "$page" || fail "Flower does not open with its password"
  held "Flower opens with its password only"
}

# ---------- the flow
add_company() {  # add_company ИНН
  curl -fsS -o /dev/null -H 'Accept: application/json' --data-urlencode "title=Company $1" -d "inn=$1" \
    "$(url sandbox 8101)/ui/companies"
}
ref_in_onec() {  # prints the 1C ref of the one counterparty with that ИНН; fails where there is none, or several
  python_on "$(url sandbox 8102)/_sandbox/state" \
    "next(one['ref'] for one in told['counterparties'] if one['inn'] == '$1' and
     sum(other['inn'] == '$1' for other in told['counterparties']) == 1)"
}
is_linked() {  # the company's card has the ref that 1C gave
  local ref
  ref=$(ref_in_onec "$1") && [ -n "$ref" ] && [ "$ref" = "$(ref_on_card "$1")" ]
}
ref_on_card() {
  python_on "$(url sandbox 8101)/_sandbox/state" \
    "next(one['UF_CRM_1C_ID'] for one in told['companies'] if one['TITLE'] == 'Company $1')"
}
arrives() {  # arrives ИНН CLAIM
  until_true "a counterparty in 1C with ИНН $1" ref_in_onec "$1"
  until_true "its ref in UF_CRM_1C_ID of the company" is_linked "$1"
  held "$2"
}

survives_a_kill_of_the_worker() {
  stack kill worker >/dev/null 2>&1
  add_company 7700000016
  up >/dev/null 2>&1
  arrives 7700000016 "a company made while the worker was dead is in 1C, once"
}

restarts_a_crashed_worker() {
  local id; id=$(stack ps -q worker)
  stack exec -T worker sh -c 'kill -9 $(cat /proc/1/task/1/children)'
  until_true "a restart of the worker" test_restarted "$id"
  until_true "a healthy worker" is_healthy "$id"
  held "a crashed worker is started again by itself"
}
test_restarted() { [ "$(docker inspect -f '{{.RestartCount}}' "$1")" -ge 1 ]; }
is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$1")" = healthy ]; }

survives_a_restart_of_redis() {
  stack kill redis >/dev/null 2>&1
  up >/dev/null 2>&1
  add_company 7700000023
  arrives 7700000023 "after Redis was killed the next company gets through"
  is_linked 7707083893 || fail "the first company is no longer linked once"
}

scales() {
  up --scale worker=2 >/dev/null 2>&1
  local nodes
  nodes=$(stack exec -T --index 1 worker celery -A sync_worker.app inspect ping --timeout 5 | grep -c 'worker@.*OK')
  [ "$nodes" -eq 2 ] || fail "$nodes workers answer, not 2"
  held "--scale worker=2: both answer under names of their own"
}

docker info >/dev/null 2>&1 || fail "no Docker Engine answers"
trap finish EXIT
refuses_to_start_without_a_password
stack build --quiet
has_nothing_private_in_the_image
up || fail "the stack does not come up healthy"
held "everything came up healthy"
runs_nothing_as_root
is_locked_down
publishes_on_loopback_only
keeps_secrets_from_the_door
asks_for_flowers_password
add_company 7707083893
arrives 7707083893 "a company from the portal's form is in 1C, and its card has the ref"
survives_a_kill_of_the_worker
restarts_a_crashed_worker
survives_a_restart_of_redis
scales
