"""Python's garbage collector, which looks at all that is imported again and again, for nothing.

That is 170,000 objects of ADK: a tenth of a second of the start, and as long a stop of all turns of
the process, once in a while. What is there when serving begins stays for good.
"""

from __future__ import annotations

import gc

_put_off = False


def put_off() -> None:
    """Collects nothing until `begin`; to be called before the imports."""
    global _put_off  # noqa: PLW0603 - it is the process's, as the collector is
    _put_off = gc.isenabled()
    gc.disable()


def begin() -> None:
    """Collects from now on what is made from now on."""
    gc.freeze()
    if _put_off:
        gc.enable()
