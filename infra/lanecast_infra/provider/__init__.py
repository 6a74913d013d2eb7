"""`pulumi-resource-baiducloud`: a native Pulumi provider for Baidu AI Cloud over the official SDK.

`declarations/` says what there is; `schema.py`, `checks.py`, `differences.py` and `classes.py` follow from it;
`lifecycle.py` makes, reads, changes and removes; `servicer.py` speaks to the engine.
"""
