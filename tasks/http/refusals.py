"""A response that is not what was requested."""


class RefusedError(Exception):
    """A response is not what was requested.

    Parameters
    ----------
    reason : str
        Goes into the ledger; `tasks.http.faults` says whether the request is repeated.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
