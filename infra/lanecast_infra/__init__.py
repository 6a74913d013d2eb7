"""The cloud part of a plan as Pulumi stacks, one a region."""
