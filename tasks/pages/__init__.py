"""Services of web pages: where they listen, who is let in, and what the labelling page and the home page share. Their
content is in `tasks.labelling` and `tasks.home`; pages that need no server are in `tasks.reports`.
"""
