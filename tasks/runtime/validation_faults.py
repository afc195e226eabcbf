"""What pydantic found wrong with values that a person wrote."""

from pydantic import ValidationError


def validation_faults(error: ValidationError) -> str:
    """Return every fault as ``place: message``, joined by semicolons."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
