"""Shards of the pixel array: ranges of their bytes, their codec, and an array whose damage has a name."""
