"""What can go wrong with the API server. Apart from the client, whose import takes a second."""


class KubeError(Exception):
    """The API server refused a request, or could not be asked (``status`` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def missing(self) -> bool:
        """Whether the object does not exist."""
        return self.status == 404


class SecretError(Exception):
    """A Secret, or a key of it, can't be had; the message names it, and never a value."""
