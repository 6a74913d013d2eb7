"""The lab: the Fabric as an emulated network with real routers, relays and traffic, and a verdict at the end."""
