"""A store made for large things: an object store, or a directory for development.

Whoever writes here gives names that are never used for two different contents, so what is there
never changes, and a replay that reads it again gets the same.
"""

from __future__ import annotations

import hashlib
import string
from typing import TYPE_CHECKING, Final

from agent_service.errors import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES: Final = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "file")
# File systems take 255 bytes, and S3 takes 1,024 for the whole name.
LONGEST_SEGMENT: Final = 100
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "_-.")


class BlobStore:
    """The store that a URL names.

    Args:
        url: for example ``s3://bucket/prefix``, ``gs://bucket``, ``az://account/container`` or
            ``file:///folder``; credentials are taken from the provider's usual variables.

    Raises:
        ConfigurationError: the URL names none, or the extra ``store`` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._store = _opened(url)

    async def put(self, name: str, data: bytes) -> None:
        """Writes a blob; one that is there already has the same content."""
        import obstore

        await obstore.put_async(self._store, name, data)

    async def get(self, name: str) -> bytes | None:
        """Reads a blob; ``None``: there is none of this name."""
        import obstore

        try:
            found = await obstore.get_async(self._store, name)
        except FileNotFoundError:
            return None
        return bytes(await found.bytes_async())

    async def delete(self, names: list[str]) -> None:
        """Removes blobs; those that are not there are no error."""
        import obstore

        for name in names:
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                continue


def _opened(url: str) -> ObjectStore:
    scheme, separator, rest = url.partition("://")
    if not separator or not rest.strip("/") or scheme not in SCHEMES:
        raise ConfigurationError(
            f"AGENT_ARTIFACTS_URL is {url!r} and must name a place in a store, for example "
            "s3://bucket/prefix, gs://bucket, az://account/container or file:///folder"
        )
    try:
        from obstore.store import from_url
    except ModuleNotFoundError:
        raise ConfigurationError(
            "AGENT_ARTIFACTS_URL is set, and the package obstore is not installed: install "
            "agent-service[store], or add obstore to your image's requirements.txt"
        ) from None
    try:
        if scheme == "file":
            return from_url(url, mkdir=True, automatic_cleanup=True)
        return from_url(url)
    except Exception as error:  # obstore's errors have no common base that it exports
        raise ConfigurationError(f"AGENT_ARTIFACTS_URL {url!r} can't be used: {error}") from error


def blob_name(*parts: str) -> str:
    """Joins parts to a name; whatever is in a part, it stays one segment of the path.

    Of a long part, the beginning and a hash of the whole.
    """
    return "/".join(_segment(part) for part in parts)


def _segment(part: str) -> str:
    text = "".join(
        char if char in _PLAIN else "".join(f"={byte:02X}" for byte in char.encode())
        for char in part
    )
    if len(text) > LONGEST_SEGMENT:
        mark = hashlib.sha256(part.encode()).hexdigest()[:16]
        return f"{text[: LONGEST_SEGMENT - 17]}-{mark}"
    # A segment of dots alone would lead out of the folder.
    return text if text.strip(".") else text.replace(".", "=2E") or "="
