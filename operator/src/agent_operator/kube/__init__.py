"""Kubernetes as the operator uses it: plain requests, and a picture kept current by watches."""
