"""The relay's benchmark: multicast to unicast fan-out between private network namespaces, relays side by side."""
