"""Where the image tools keep things: all of it in this clone's ``.local``."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".local" / "images"
BASE = HOME / "base"
LOGS = HOME / "logs"
STORAGE = HOME / "storage"
RUN = HOME / "run"
TMP = HOME / "tmp"
