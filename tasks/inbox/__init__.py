"""The inbox: nights and visits that are delivered as files, taken only when they are complete."""
