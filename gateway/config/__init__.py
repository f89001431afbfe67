"""From a config file to checked settings: text -> tree with positions -> Structs, every problem with its place."""
