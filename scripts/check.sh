#!/bin/sh
# Every static check: format and lint (Biome), types (tsc), links and headings of the documents (remark-validate-links,
# which asks no network), what they tell a reader to run (scripts/docs.ts), their tables of where ours differs from C
# (scripts/differences.ts), shell (shellcheck).
set -eu
case ${1:-} in
  -h | --help)
    # The comment above.
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
  ?*)
    echo "error: check.sh takes no arguments" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."
# Not the folder: beside what git knows there may lie what was built, and Biome fails at links that lead out of it.
biome check --error-on-warnings src scripts test package.json tsconfig.json .biome.json
tsc --noEmit
remark --frail --quiet --no-stdout --use remark-validate-links=repository:false ./*.md docs
bun scripts/docs.ts
bun scripts/differences.ts
if command -v shellcheck >/dev/null 2>&1; then
  shellcheck scripts/*.sh .ci/run .ci/bare
elif [ -n "${CI:-}" ]; then
  echo "error: shellcheck is not installed" >&2
  exit 1
else
  echo "shellcheck is not installed: the shell scripts were not checked" >&2
fi
