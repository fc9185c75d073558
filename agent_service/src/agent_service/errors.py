"""Errors that are meant for the person who starts or configures the service."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The service can't start as configured; the message says what to change."""
