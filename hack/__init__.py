"""Tools for people who work on this repository: clusters, images, the demo."""
