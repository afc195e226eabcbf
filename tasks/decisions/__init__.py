"""Decisions on models: the gate between challenger and champion, its holdouts, and the ledger of every decision."""
