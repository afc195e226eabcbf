"""The inbox: nights and visits that are delivered as files, taken only when they are complete.

``INBOX/YYYY-MM-DD/VISIT/``: one folder per night, named by the date of the local evening, and in it one entry per
visit: a folder of frames, a file or folder of alert packets, or triplets. No Prefect, and nothing here writes into the
inbox.
"""
