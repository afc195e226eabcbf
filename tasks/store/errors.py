"""Errors of a dataset on disk."""


class StoreError(Exception):
    """A dataset cannot be read or written as requested."""


class DatasetNotFoundError(StoreError):
    """No dataset, or no version, of that name is in the workspace."""


class DatasetNameError(StoreError):
    """A dataset's name does not match ``[a-z0-9][a-z0-9._-]{0,63}``."""


class FormatVersionError(StoreError):
    """A dataset folder was written in another version of the format."""


class DamagedError(StoreError):
    """Bytes of a dataset are not what was written."""


class DamagedPixelsError(DamagedError):
    """Pixels cannot be read, or a shard's file is missing."""


class DamagedBatchError(DamagedError):
    """A staged batch was not as it was written, and is removed."""


class DamagedVersionError(DamagedError):
    """A comparison of a whole version found damage."""


class DamagedTableError(DamagedError):
    """A table or the manifest of a version cannot be read."""


class DatasetBusyError(StoreError):
    """Another process is building the dataset."""


class AccountError(StoreError):
    """The number requested is not the number stored plus the number rejected."""


class ShardTakenError(StoreError):
    """Two builds want to write the same shard of an object store."""


class ObjectStoreError(StoreError):
    """An object store cannot be reached, or does not do what a dataset on it needs."""


class DiskFullError(StoreError):
    """The disk is full; finished work is kept and used by the next run."""


def without_remedy(error: Exception) -> str:
    """Return an error's text without the advice behind its first semicolon."""
    return str(error).partition(";")[0]
