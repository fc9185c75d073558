"""The main job, shown: what `make demo` runs, and what the end-to-end tests are built from."""
