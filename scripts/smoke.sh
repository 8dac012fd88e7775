#!/bin/sh
# Smoke test of a pause image: smoke.sh ENGINE IMAGE [HELPER]
#
# ENGINE is docker, podman or nerdctl; IMAGE must be loaded. HELPER (default: busybox) is an image with a shell, which
# makes the orphan: the pause image has no shell. No container gets a network.
# One line for each check, PASS or FAIL. Status: 0 all passed, 1 a check failed, 2 called wrongly.
set -u
case ${1:-} in
  -h | --help)
    # The comment above.
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac

if [ $# -lt 2 ] || [ $# -gt 3 ] || [ -z "$1" ] || [ -z "$2" ]; then
  echo "usage: $0 docker|podman|nerdctl IMAGE [HELPER]" >&2
  exit 2
fi
engine=$1
image=$2
helper=${3:-busybox}
if ! command -v "$engine" >/dev/null 2>&1; then
  echo "error: $engine is not installed" >&2
  exit 2
fi
if ! "$engine" image inspect "$image" >/dev/null 2>&1; then
  echo "error: $engine has no image $image" >&2
  exit 2
fi

limit=100000000
failed=0
pause=

# check NAME ACTUAL EXPECTED
check() {
  if [ "$2" = "$3" ]; then
    echo "PASS $1"
  else
    echo "FAIL $1: got '$2', expected '$3'"
    failed=1
  fi
}

trap '[ -z "$pause" ] || "$engine" rm --force "$pause" >/dev/null 2>&1' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# run OPTION... : a container with as few rights as a pod's infra container has
run() {
  "$engine" run --network none --read-only --cap-drop ALL --security-opt no-new-privileges "$@"
}

state() {
  "$engine" inspect --format "{{.State.$1}}" "$pause" 2>&1
}

# Makes a process whose parent ends, sees PID 1 adopt it, and waits until it is gone: a zombie would stay.
# shellcheck disable=SC2016 # The helper's shell expands it.
orphan='
  orphan=$(sh -c "sleep 1 >/dev/null 2>&1 & echo \$!")
  while read -r key value; do [ "$key" != PPid: ] || parent=$value; done <"/proc/$orphan/status"
  [ "${parent:-}" = 1 ] || { echo "the parent is ${parent:-unknown}, not PID 1"; exit; }
  for second in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "/proc/$orphan" ] || { echo reaped; exit; }
    sleep 1
  done
  echo "not reaped after $second seconds"
'

version=$(run --rm "$image" -v 2>&1)
case $version in
  "pause.ts "[0-9]*.[0-9]*.[0-9]*) version=ok ;;
esac
check "-v prints the name and the version" "$version" ok

size=$("$engine" image inspect --format '{{.Size}}' "$image" 2>&1)
if [ "$size" -lt "$limit" ] 2>/dev/null; then size=ok; fi
check "is smaller than $limit bytes" "$size" ok

pause=$(run --detach "$image" 2>&1)
check "runs read-only, without capabilities, with no-new-privileges" "$(state Running)" true

reaped=$(run --rm --pid "container:$pause" "$helper" sh -c "$orphan" 2>&1)
check "reaps an orphan of another container" "$reaped" reaped

# After one second the engine would kill it, and the status would be 137.
"$engine" stop --time 1 "$pause" >/dev/null 2>&1
check "stops within a second with status 0" "$(state Running) $(state ExitCode)" "false 0"

exit "$failed"
