"""Domain-neutral learning: parts, batches, fitting, scoring, measures, models on disk. No Prefect."""
