"""The `starloom` command: parsing of options and parameters, running a flow, exit codes, the demo's report.

Flows are in `flows`; they use only `parameter_types`, `parameter_subjects` and `run_page` of this folder.
"""
