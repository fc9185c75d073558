"""The project's container images: built where needed, loaded into the cluster in use.

``ensure()`` is what tests and the demo call; ``python -m hack.images`` is the same by hand.
Decisions and figures: docs/decisions/0006-images.md.
"""

from hack.images.chart import chart_values
from hack.images.engines import ImageError
from hack.images.work import build, ensure, present

__all__ = ["ImageError", "build", "chart_values", "ensure", "present"]
