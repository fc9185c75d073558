#!/usr/bin/env bash
# Resolves requirements.lock anew from the workspace's pyproject files (docs/decisions/0002).
# Pinned versions stay unless a pyproject file rules them out; UPGRADE=1 takes the newest of all.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v .venv/bin/uv uv | head -n 1)
"$uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header ${UPGRADE:+--upgrade} \
  --group pyproject.toml:dev --all-extras --output-file requirements.lock \
  operator/pyproject.toml agent_service/pyproject.toml
