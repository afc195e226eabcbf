"""The `starloom` command: reading its words and parameters, running one flow, exit codes, the demo's report.

No flow stands here, and nothing that a flow needs apart from the types of its parameters.
"""
