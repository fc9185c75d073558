"""Agents on Restate: journaled model calls, ordered tools, sessions, approvals."""
