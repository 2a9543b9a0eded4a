"""Where a training runs: in this process, or as tasks of a Ray cluster."""
