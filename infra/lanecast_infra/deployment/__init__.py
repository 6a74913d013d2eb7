"""``lanecast infra``: runs the Pulumi program for every region of a plan until nothing changes."""
