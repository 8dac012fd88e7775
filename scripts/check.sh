#!/bin/sh
# Every static check: format and lint (Biome), types (tsc), links and headings of the documents (remark-validate-links,
# which uses no network), the commands that they tell a reader to run (scripts/docs.ts), their tables of differences
# from a C pause (scripts/differences.ts), shell (shellcheck).
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
# Not the whole folder: it may hold build output, and Biome fails on links that lead out of the folder.
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
