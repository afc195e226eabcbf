"""Parts of reports: the page template, contact sheets, figures, the page of a dataset.

Nothing here knows a problem; each problem's own report is beside its evaluation.
"""
