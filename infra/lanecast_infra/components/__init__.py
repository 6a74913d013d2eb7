"""Components that make what ``regional`` decided. Names are the plan's, so that an addition touches nothing else."""
