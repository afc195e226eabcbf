"""Questions asked of a simulated or injected dataset: true origins, difficulty, give-aways.

Only checks and what they need; what makes the data is in `simulation`, `injection` and `subtraction`.
"""
