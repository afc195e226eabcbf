"""Stages of studies and audits."""
