#!/usr/bin/env bash
# Makes .venv from requirements.lock: every Python dependency, both packages (editable), every tool.
# Does nothing, in milliseconds, when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

usable() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

# A Python of 3.12 or later may exist only in a version manager's folder, so PATH is not enough.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3 \
    "$HOME"/.local/share/uv/python/cpython-3.1[2-9]*/bin/python3 \
    /usr/local/bin/python3.1[2-9] /opt/homebrew/bin/python3.1[2-9]; do
    if usable "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  echo "durable-agents needs Python 3.12 or later with the venv module;" \
    "install it, or name it: make PYTHON=/path/to/python3" >&2
  exit 1
}

inputs=(requirements.lock pyproject.toml operator/pyproject.toml agent_service/pyproject.toml hack/bootstrap.sh)
stamp=.venv/.bootstrapped
want=$(cat "${inputs[@]}" | cksum)
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
  exit 0
fi

python=$(find_python)
echo "bootstrap: installing Python dependencies with $("$python" --version) (about a minute the first time)"
[ -x .venv/bin/python ] && usable .venv/bin/python || "$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --require-hashes --requirement <(grep -A40 '^uv==' requirements.lock | awk 'NR>1 && /^[a-z]/ {exit} {print}')
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes --requirement requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation \
  --editable operator --editable agent_service
echo "$want" >"$stamp"
