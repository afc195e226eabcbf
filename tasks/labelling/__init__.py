"""Labels by people: the log of their answers, queues of what they are asked, the page, and label versions of them.

Both problems share it; what a problem shows of a sample is in the ``labelling.py`` of `tasks.candidates` and
`tasks.galaxies`. Positions are degrees, separations arcsec.
"""
