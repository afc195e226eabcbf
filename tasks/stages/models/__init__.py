"""Stages that fit, evaluate, compare or export a model, predict with it, or decide on it."""
