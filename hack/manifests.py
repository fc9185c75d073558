"""Makes what is generated of ``manifests/``, of the chart and of ``docs/``.

``python -m hack.manifests`` writes the files; ``--check`` only says which of them are stale.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import yaml

from agent_operator.cli.crd import as_yaml as crd_yaml
from hack.cluster import ClusterError, tools
from hack.cluster.paths import this_clone
from hack.reference import NoExampleError, reference

ROOT = this_clone().root
CHART = ROOT / "helm" / "durable-agents"
NAMESPACE = "durable-agents"
RELEASE = "durable-agents"
# They speak of Helm, which has no part in an installation with kubectl.
HELM_LABELS = ("app.kubernetes.io/managed-by", "helm.sh/chart")

GENERATED = "# Made by `python -m hack.manifests`: change its source there, not here.\n"
INSTALL_HEAD = (
    GENERATED
    + """\
# The chart helm/durable-agents with its default values, for kubectl alone. The CRD comes first:
#
#   kubectl apply --server-side -f manifests/crd.yaml
#   kubectl apply -f manifests/install.yaml
#
# Restate's server, which this runs, is licensed under the Business Source License 1.1.
"""
)
SAMPLES = {
    "minimal.yaml": """\
# The least that an agent needs: an image. This one talks to Gemini with a key from its Secret:
#   kubectl create secret generic gemini --from-literal=api-key=...
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: weather
spec:
  image: {image}
  args: ["agent_service.agents.weather:agent"]
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
""",
    "weather.yaml": """\
# An agent with a model of its choice, two pods, and old revisions that stay for five minutes after
# the last turn that needed them. Apply it again with another image, and turns that wait end on the
# old one.
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: weather
spec:
  image: {image}
  args: ["agent_service.agents.weather:agent"]
  replicas: 2
  model:
    name: gemini-2.5-flash
    apiKeySecret: {{name: gemini, key: api-key}}
  resources:
    requests: {{cpu: 100m, memory: 192Mi}}
    limits: {{memory: 512Mi}}
  rollout:
    progressDeadlineSeconds: 300
  drain:
    delay: 5m
""",
    "agent-with-template.yaml": """\
# What the short forms have no field for: documents from a ConfigMap, prepared by an init container,
# on nodes of one kind. For a new revision whenever they change, let the operator read Secrets (the
# chart's operator.reads.secrets), and add `rollout: {{onConfigChange: NewRevision}}`.
#   kubectl create configmap documents --from-literal=terms.txt='Claims up to 100 EUR ...'
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: claims
spec:
  image: {image}
  args: ["agent_service.agents.claims:agent"]
  model:
    provider: Gemini
    apiKeySecret: {{name: gemini, key: api-key}}
  template:
    spec:
      nodeSelector: {{kubernetes.io/os: linux}}
      initContainers:
        - name: prepare
          image: {image}
          command: ["sh", "-c", "cp /documents/* /prepared/"]
          volumeMounts:
            - {{name: documents, mountPath: /documents}}
            - {{name: prepared, mountPath: /prepared}}
      containers:
        - name: agent
          volumeMounts:
            - {{name: prepared, mountPath: /prepared, readOnly: true}}
      volumes:
        - name: documents
          configMap: {{name: documents}}
        - name: prepared
          emptyDir: {{}}
""",
    "research.yaml": """\
# Two agents, each released by itself: a research team, and the fact checker that it calls. Turns of
# the team wait for the fact checker without a pod, in Restate; a new image of either takes the new
# calls, and lets those under way end where they began.
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: research
spec:
  image: {image}
  args: ["agent_service.agents.research:agent"]
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
---
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: fact-checker
spec:
  image: {image}
  args: ["agent_service.agents.fact_checker:agent"]
  replicas: 2
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
""",
    "gates.yaml": """\
# A new image takes no turn before it has answered a question, and reached its scores in an
# evaluation set (the example that the image ships); then it waits until somebody lets it:
#   kubectl annotate agd weather --overwrite durableagents.dev/promote=<revision>
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: weather
spec:
  image: {image}
  args: ["agent_service.agents.weather:agent"]
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
  rollout:
    strategy: Manual
    gates:
      - name: smoke
        smoke:
          message: What is the weather in Paris?
          expect:
            cel: answer.turn == 1 && answer.answer.contains('Paris')
      - name: scores
        evaluation:
          path: /package/agent_service/agents/weather.evalset.json
          thresholds:
            tool_trajectory_avg_score: 1
            response_match_score: 0.2
""",
    "notes.yaml": """\
# An agent that keeps artifacts and remembers what was said. Artifacts up to 1 MiB are kept in
# Restate; for larger ones name a store, and add obstore to an image of your own:
# docs/agents/memory-and-artifacts.md.
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: notes
spec:
  image: {image}
  args: ["agent_service.agents.notes:agent"]
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
  # env:
  #   - {{name: AGENT_ARTIFACTS_URL, value: "s3://my-bucket/notes"}}
  #   - {{name: AWS_REGION, value: eu-central-1}}
  #   - name: AWS_ACCESS_KEY_ID
  #     valueFrom: {{secretKeyRef: {{name: bucket, key: id}}}}
  #   - name: AWS_SECRET_ACCESS_KEY
  #     valueFrom: {{secretKeyRef: {{name: bucket, key: secret}}}}
""",
    "claims.yaml": """\
# An agent whose turns may wait for a person's approval, for days if need be: meanwhile a new image
# takes new turns, and the revision that the waiting turn began on stays until it has ended.
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: claims
spec:
  image: {image}
  args: ["agent_service.agents.claims:agent"]
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
""",
    "support.yaml": """\
# A support chat. Its customers read the answers while they are written: the agent's pods publish
# them through Restate's ingress, whose address the operator gives them (docs/agents/streaming.md).
apiVersion: durableagents.dev/v1alpha1
kind: AgentDeployment
metadata:
  name: support
spec:
  image: {image}
  args: ["agent_service.agents.support:agent"]
  replicas: 2
  model:
    apiKeySecret: {{name: gemini, key: api-key}}
  env:
    - {{name: SUPPORT_SUMMARY_TURNS, value: "20"}}
    # What a turn takes doesn't grow with its session (docs/agents/sessions.md).
    - {{name: AGENT_RECENT_TURNS, value: "40"}}
""",
}


def _helm(*arguments: str) -> str:
    clone = this_clone()
    with tools.locked(clone):
        tools.ensure(clone, ["helm"])
    command = [str(clone.bin / "helm"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _without_helm(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_helm(v) for key, v in node.items() if key not in HELM_LABELS}
    if isinstance(node, list):
        return [_without_helm(item) for item in node]
    return node


def install_yaml() -> str:
    """The chart with its default values, with its namespace, without hooks and Helm's labels."""
    rendered = _helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--no-hooks")
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    objects = [namespace, *(_without_helm(o) for o in yaml.safe_load_all(rendered) if o)]
    return INSTALL_HEAD + "".join(
        "---\n" + yaml.safe_dump(o, sort_keys=False, width=100) for o in objects
    )


def files() -> dict[str, str]:
    """Every generated file: its path in the repository, and what it should say."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    image = f"durable-agents/agent-service:{chart['appVersion']}"
    made = {
        "manifests/crd.yaml": crd_yaml(),
        "helm/durable-agents/crds/agentdeployments.yaml": crd_yaml(),
        "manifests/install.yaml": install_yaml(),
        "docs/reference.md": reference(),
    }
    for name, text in SAMPLES.items():
        made[f"manifests/samples/{name}"] = GENERATED + text.format(image=image)
    return made


def stale() -> list[str]:
    """The generated files that don't say what they should."""
    return [
        name
        for name, text in files().items()
        if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    ]


def main() -> int:
    """Writes the generated files, or says with ``--check`` which are stale."""
    parser = argparse.ArgumentParser(prog="python -m hack.manifests", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if stale")
    only_check = parser.parse_args().check
    try:
        names = stale()
        for name in names:
            print(f"manifests: {'stale' if only_check else 'writing'} {name}")
            if not only_check:
                (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / name).write_text(files()[name])
    except (ClusterError, NoExampleError) as error:
        print(f"hack.manifests: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"hack.manifests: helm template failed:\n{error.stderr}", file=sys.stderr)
        return 1
    return 1 if names and only_check else 0


if __name__ == "__main__":
    sys.exit(main())
