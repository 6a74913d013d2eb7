"""The relay's configuration: documents with line numbers, quantities with units, and the model itself."""
