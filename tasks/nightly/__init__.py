"""The nightly retraining: a night from its inbox to a decision on a new model."""
