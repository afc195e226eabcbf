"""The state of a workspace on one page: what there is, what runs, what was decided, and what to run first.

It is read from files, MLflow's database and Prefect's server; no file of data is changed, and no lock is waited for.
What is absent or fails is told in words, and neither ends nor delays the reading. Times are UTC, sizes bytes.
"""
