"""What durable agents cost, next to plain ADK in memory and to the SDK's own plugin for ADK.

Processes of this machine and a throw-away Restate server; no cluster. See docs/benchmarks.md.
"""
