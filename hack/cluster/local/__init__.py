"""A real one-node cluster on this Linux machine, without Docker."""
