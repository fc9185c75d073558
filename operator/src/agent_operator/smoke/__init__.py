"""The smoke gate from inside of its Job: one turn on a candidate, through a Restate of its own."""
