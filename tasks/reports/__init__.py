"""What reports are made of: the page template, contact sheets, figures.

Nothing here knows a problem; each problem's own report is beside its evaluation.
"""
