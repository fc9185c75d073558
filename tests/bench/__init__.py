"""How fast and how sparing the operator is, on the cluster in use: ``make bench``."""
