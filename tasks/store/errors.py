"""What can go wrong with a dataset on disk. One sentence, one class."""


class StoreError(Exception):
    """A dataset cannot be read or written as asked."""


class DatasetNotFoundError(StoreError):
    """No dataset, or no version, of that name is in the workspace."""


class DatasetNameError(StoreError):
    """A dataset's name does not match ``[a-z0-9][a-z0-9._-]{0,63}``."""


class FormatVersionError(StoreError):
    """A dataset folder was written in another version of the format."""


class DatasetBusyError(StoreError):
    """Another process is building the dataset."""


class AccountError(StoreError):
    """What was asked is not what was stored plus what was rejected."""


class DiskFullError(StoreError):
    """The disk took no more bytes; what was finished before stays and is used by the next run."""
