"""Learning for any problem: parts of a split, batches, the fit, scoring, measures, operating points, saved models.

Arrays, parts and Keras models in and out. It knows no problem, no Prefect and no MLflow.
"""
