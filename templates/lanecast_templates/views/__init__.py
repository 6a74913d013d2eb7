"""Nodes in the terms of what they run: what templates would otherwise have to work out is worked out here."""
