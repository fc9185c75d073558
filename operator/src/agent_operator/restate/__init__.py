"""Restate as the operator uses it: a typed client, and what was last seen of each server."""
