"""The cloud of the lab."""
