"""The plan that a person writes: its schema, its loader and its checks."""
