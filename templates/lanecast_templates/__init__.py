"""Router, host and service configurations, rendered from a Fabric: a template spells, and decides nothing."""
