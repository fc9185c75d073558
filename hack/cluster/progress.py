"""The cluster's progress lines."""

from hack.progress import Progress

say, step = Progress("cluster").say, Progress("cluster").step
