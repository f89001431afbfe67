"""The built-in filters, one a file: which events go on."""
