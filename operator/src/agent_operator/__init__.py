"""The operator: turns AgentDeployments into immutable Restate deployments on Kubernetes."""
