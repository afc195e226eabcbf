"""A synthetic sky: a catalogue with drawn votes and hidden truth, and images rendered from it.

Nothing here reads real data. Serving the images over HTTP is in `tasks.skyserver`.
"""
