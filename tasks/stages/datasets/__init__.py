"""Stages that make a dataset or its labels, compare its bytes, show it or copy it out."""
