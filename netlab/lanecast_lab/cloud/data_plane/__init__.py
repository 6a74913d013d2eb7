"""The emulated cloud's data plane: what the API was asked for, as network namespaces, routes and packet filters.

``snapshot`` reads the store, ``description`` turns that into what has to be there (``model``), and ``reconciler`` makes
it so. ``worker`` does all three after each change.
"""
