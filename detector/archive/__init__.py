"""States with the offsets that they are true for, in a file and back: `detector state backup`, `show` and `restore`."""
