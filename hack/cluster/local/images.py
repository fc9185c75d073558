"""The node's own images, written without any registry: one program each, on nothing."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}
"""The kernel's name of a machine -> Go's and OCI's."""


@dataclass(frozen=True)
class Image:
    """An image made of one statically linked program.

    Attributes:
        name: its full name.
        program: the file, which lands in the image's root.
        arguments: what the program gets by default.
        links: further names for it, in /bin.
        user: the user it runs as.
    """

    name: str
    program: Path
    arguments: Sequence[str] = ()
    links: Sequence[str] = ()
    user: str = "65532:65532"


def write(image: Image, archive: Path) -> None:
    """Write an image as an OCI archive (OCI image layout 1.0.0 in a tar file)."""
    layer = archive.with_suffix(".layer")
    _write_layer(image, layer)
    layer_digest, layer_size = _digest(layer), layer.stat().st_size
    config = _json(
        {
            "architecture": ARCHITECTURES[os.uname().machine],
            "os": "linux",
            "config": {
                "User": image.user,
                "Entrypoint": [f"/{image.program.name}", *image.arguments],
                "Env": ["PATH=/bin:/"],
            },
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )
    media = "application/vnd.oci.image"
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{media}.manifest.v1+json",
            "config": _descriptor(f"{media}.config.v1+json", config),
            "layers": [
                {
                    "mediaType": f"{media}.layer.v1.tar",
                    "digest": layer_digest,
                    "size": layer_size,
                }
            ],
        }
    )
    listed = _descriptor(f"{media}.manifest.v1+json", manifest)
    listed["annotations"] = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name,
    }
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [listed]}))
        for blob in (config, manifest):
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        tar.add(layer, f"blobs/sha256/{layer_digest.removeprefix('sha256:')}")
    layer.unlink()


def _write_layer(image: Image, path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        program = tar.gettarinfo(image.program, image.program.name)
        program.mode, program.uid, program.gid = 0o755, 0, 0
        program.uname = program.gname = ""
        with image.program.open("rb") as content:
            tar.addfile(program, content)
        for name, mode in (("bin", 0o755), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        for name in image.links:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, f"/{image.program.name}", 0o777
            tar.addfile(link)


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _descriptor(media: str, blob: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    return {"mediaType": media, "digest": digest, "size": len(blob)}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
