"""The subcommands that need no back end, one a module."""
