"""Studies of many trainings in resumable rows, relabelling, surveys of label errors, audits for give-aways.

A single training is in `tasks.training` and `tasks.candidates`; the measurements of an audit are in `realbogus.audits`.
"""
