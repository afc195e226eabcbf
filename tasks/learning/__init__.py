"""Learning for any problem: parts of a split, scoring, measures, operating points.

The comparison of nights is in `drift`, the epoch loop in `fits`, labels that may be wrong in `labels`, saved models and
their inference in `models`. Arrays, parts and Keras models in and out. It knows no problem, no Prefect and no MLflow.
"""
