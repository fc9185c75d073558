"""The one error this package raises on purpose."""


class ClusterError(RuntimeError):
    """Something the reader can act on: one line that says what is wrong and what to do."""
