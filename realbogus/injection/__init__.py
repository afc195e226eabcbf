"""Artificial transients in survey frames: hosts, fluxes, drawing, a chip-visit from pair to stamps, efficiency.

Positions are pixels with (0, 0) at the centre of the first pixel. It shares no law with `realbogus.simulation`.
"""
