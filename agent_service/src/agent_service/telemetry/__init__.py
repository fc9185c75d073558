"""What others may see of turns: log lines, metrics and traces, each thing once (decision 41)."""
