"""The built-in codecs, one a file: bytes to plain data and back."""
