"""The operator image's commands."""
