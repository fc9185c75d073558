"""The images' progress lines."""

from hack.progress import Progress

say, step = Progress("images").say, Progress("images").step
