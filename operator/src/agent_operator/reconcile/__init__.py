"""The way through the house: observe, plan, apply, status."""
