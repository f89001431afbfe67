"""The built-in transforms, one a file: new events from old ones."""
