"""The local cluster's certificates and kubeconfigs, made with openssl."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.run import run

from .network import Addresses

DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """A client or server certificate.

    Attributes:
        name: the files' name, without suffix.
        user: the common name; Kubernetes reads the user from it.
        group: the organization; Kubernetes reads the group from it.
        names: DNS names and addresses for servers, as openssl writes them (`DNS:x`, `IP:y`).
    """

    name: str
    user: str
    group: str = ""
    names: Sequence[str] = ()


def identities(net: Addresses, node: str) -> list[Identity]:
    """Every certificate of a cluster, with the users and groups that RBAC's defaults expect."""
    api_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    api_names += ["kubernetes.default.svc.cluster.local", "localhost"]
    api_addresses = (net.api_service, net.node, "127.0.0.1")
    return [
        Identity(
            "apiserver",
            "kube-apiserver",
            names=[*(f"DNS:{x}" for x in api_names), *(f"IP:{x}" for x in api_addresses)],
        ),
        Identity(
            "kubelet", f"system:node:{node}", "system:nodes", [f"DNS:{node}", f"IP:{net.node}"]
        ),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("admin", "admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
    ]


def make(folder: Path, wanted: Sequence[Identity]) -> None:
    """Make a CA, a key for ServiceAccount tokens, and all certificates, in `folder` (mode 0700)."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    _key(folder / "ca.key")
    _key(folder / "service-accounts.key")
    ca = folder / "ca.crt"
    # Python 3.13's clients refuse a CA whose certificate doesn't say what its key is for.
    run(
        *("openssl", "req", "-x509", "-new", "-key", folder / "ca.key", "-out", ca),
        *("-days", DAYS, "-subj", "/CN=durable-agents-local-cluster"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for identity in wanted:
        _certificate(folder, identity)


def _key(path: Path) -> None:
    run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path)


def _certificate(folder: Path, identity: Identity) -> None:
    base = folder / identity.name
    key, request, extensions = (base.with_suffix(end) for end in (".key", ".csr", ".ext"))
    subject = f"/CN={identity.user}"
    if identity.group:
        subject = f"/O={identity.group}{subject}"
    usage = "clientAuth,serverAuth" if identity.names else "clientAuth"
    lines = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage}",
        "authorityKeyIdentifier=keyid",
    ]
    if identity.names:
        lines.append(f"subjectAltName={','.join(identity.names)}")
    extensions.write_text("\n".join(lines) + "\n")
    _key(key)
    run("openssl", "req", "-new", "-key", key, "-out", request, "-subj", subject)
    run(
        *("openssl", "x509", "-req", "-in", request, "-out", base.with_suffix(".crt")),
        *("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial"),
        *("-days", DAYS, "-extfile", extensions),
    )
    request.unlink()
    extensions.unlink()


def kubeconfig(folder: Path, identity: str, server: str, cluster: str) -> str:
    """A kubeconfig with everything inside, as YAML.

    Args:
        folder: where `make` put the certificates.
        identity: whose certificate to use.
        server: the API server's URL.
        cluster: the name of the cluster and of the context.
    """

    def data(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    user = f"{cluster}-{identity}"
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server, "certificate-authority-data": data("ca.crt")},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": data(f"{identity}.crt"),
                    "client-key-data": data(f"{identity}.key"),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    }
    return yaml.safe_dump(content, sort_keys=False)
