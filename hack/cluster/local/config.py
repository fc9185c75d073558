"""Configuration files and command lines of the local node's programs.

All paths are the node's own (see `namespace`): `/var/lib` and `/var/log` there are folders below
`.local/cluster/node`, `/run` is a memory file system.
"""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from .network import Addresses

ETC = "/var/lib/node/etc"
PKI = "/var/lib/node/pki"
BIN = "/var/lib/node/bin"
CONTAINERD = "/run/containerd/containerd.sock"
PAUSE = "localhost/cluster/pause:1"


@dataclass(frozen=True)
class Setup:
    """What the programs' configuration depends on.

    Attributes:
        name: the node's name, and its cgroup's.
        net: its addresses.
        full_capabilities: whether CAP_SYS_RESOURCE is there.
        snapshotter: containerd's: `overlayfs`, or `native` where overlays can't be mounted.
        controller_qps: requests a second that each of Kubernetes' own controllers may make. With
            Kubernetes' default of 20 they are most of the time that a start takes.
    """

    name: str
    net: Addresses
    full_capabilities: bool
    snapshotter: str
    controller_qps: int = 300


@dataclass(frozen=True)
class Program:
    """One of the node's programs.

    Attributes:
        name: what its log and its id's file are called, and the executable.
        argv: its command line.
    """

    name: str
    argv: list[str]


def programs(setup: Setup) -> list[Program]:
    """The node's programs, in the order in which they start."""
    return [
        Program("etcd", _etcd()),
        Program("containerd", ["containerd", "--config", f"{ETC}/containerd.toml"]),
        Program("kube-apiserver", _apiserver(setup)),
        Program("kube-controller-manager", _controller_manager(setup)),
        Program("kube-scheduler", _scheduler()),
        Program(
            "kubelet",
            [
                f"{BIN}/kubelet",
                f"--config={ETC}/kubelet.yaml",
                f"--kubeconfig={ETC}/kubelet.kubeconfig",
                f"--hostname-override={setup.name}",
                f"--node-ip={setup.net.node}",
                "--root-dir=/var/lib/kubelet",
            ],
        ),
        Program(
            "kube-proxy",
            [
                f"{BIN}/kube-proxy",
                f"--config={ETC}/kube-proxy.yaml",
                f"--hostname-override={setup.name}",
            ],
        ),
    ]


def files(setup: Setup) -> dict[str, str]:
    """Configuration files by their name below `ETC`."""
    return {
        "containerd.toml": _containerd(setup),
        "cni/10-bridge.conflist": json.dumps(_cni(setup), indent=2),
        "kubelet.yaml": yaml.safe_dump(_kubelet(setup)),
        "kube-proxy.yaml": yaml.safe_dump(_kube_proxy(setup)),
        # Pods with dnsPolicy Default get this: no resolver outside the cluster is in reach.
        "resolv.conf": "# the local cluster has no way out\n",
    }


def _etcd() -> list[str]:
    # On the node's own loopback, which nothing outside its network namespace reaches.
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return [
        "etcd",
        "--name=node",
        "--data-dir=/var/lib/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=node={peer}",
        "--logger=zap",
        "--log-level=warn",
    ]


def _apiserver(setup: Setup) -> list[str]:
    return [
        f"{BIN}/kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={setup.net.node}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={setup.net.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={PKI}/service-accounts.key",
        f"--service-account-signing-key-file={PKI}/service-accounts.key",
        "--profiling=false",
        # It needs etcd 3.4.25; with it, clients that ask for it never see a change (decision 0027).
        "--feature-gates=WatchList=false",
    ]


def _controller_manager(setup: Setup) -> list[str]:
    config = f"{ETC}/controller-manager.kubeconfig"
    return [
        f"{BIN}/kube-controller-manager",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        f"--kube-api-qps={setup.controller_qps}",
        f"--kube-api-burst={setup.controller_qps * 3 // 2}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={PKI}/service-accounts.key",
        f"--root-ca-file={PKI}/ca.crt",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        f"--cluster-cidr={setup.net.pods}",
        f"--service-cluster-ip-range={setup.net.services}",
        # The default is a folder of the machine, outside /var/lib.
        "--flex-volume-plugin-dir=/var/lib/kubelet/volumeplugins",
        "--profiling=false",
    ]


def _scheduler() -> list[str]:
    config = f"{ETC}/scheduler.kubeconfig"
    return [
        f"{BIN}/kube-scheduler",
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]


def _kubelet(setup: Setup) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{setup.name}",
        "clusterDNS": [str(setup.net.dns)],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{ETC}/resolv.conf",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "maxPods": 250,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "2s",
        # Only changes are reported that fast.
        "nodeStatusReportFrequency": "1m",
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "localStorageCapacityIsolation": True,
        # A machine whose disk is nearly full by other hands must not lose its pods or images.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def _kube_proxy(setup: Setup) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{ETC}/proxy.kubeconfig"},
        "clusterCIDR": str(setup.net.pods),
        "bindAddress": "0.0.0.0",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # These are the machine's settings, which a network namespace can't change.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def _cni(setup: Setup) -> dict[str, Any]:
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": True,
                # This machine has a route to the pods, so their addresses can stay as they are.
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": str(setup.net.pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd(setup: Setup) -> str:
    restrict = str(not setup.full_capabilities).lower()
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
# The plugin "opt" would make /opt/containerd on the machine.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{CONTAINERD}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Without CAP_SYS_RESOURCE every sandbox would fail on its negative score.
  restrict_oom_score_adj = {restrict}
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{setup.snapshotter}"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{ETC}/cni"
"""
