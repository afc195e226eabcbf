"""The mark of a workspace on an object store that is being restored: what is beside it is not whole yet."""

from tasks.store.errors import StoreError
from tasks.store.object_store.objects import ObjectFolder

RESTORING = "restoring.json"
"""Object of a workspace: written before all others of a restore, removed after them."""


class RestoringError(StoreError):
    """A workspace on an object store is not restored to its end."""


def require_restored(root: ObjectFolder) -> None:
    """Refuse the workspace at an address where a restore is at work, or was interrupted.

    Raises
    ------
    RestoringError
    """
    if root.has(RESTORING):
        raise RestoringError(
            f"a restore to {root} was interrupted: run it again; one that is at work, wait for its end"
        )
