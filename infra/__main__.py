"""What `pulumi up` runs; Pulumi.yaml in the root names this folder."""

from lanecast_infra.program import run

run()
