"""Oracles: what would really run a rendered file says whether it takes it."""
