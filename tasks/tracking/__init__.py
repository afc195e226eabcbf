"""MLflow: runs, metrics, registered models and their aliases. No other package imports MLflow.

What is recorded is decided where it is computed.
"""
