"""Checks of what flows need: installation, machine, workspace, services; and where their parts would run.

A check reads and measures, and changes nothing but temporary files of its own.
"""
