"""Point-spread functions: choosing stars, measuring a model that varies over the chip, drawing and fitting it.

Sizes are pixels unless a name says otherwise. The simulator's own optics are in `realbogus.simulation`.
"""
