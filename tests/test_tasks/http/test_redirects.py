"""Where a redirect may lead."""

import pytest

from tasks.http.redirects import redirected
from tasks.http.refusals import RefusedError

PUBLIC, PRIVATE = "https://skyserver.example/dr17/cutout", "http://10.0.0.7:8000/cutout"


@pytest.mark.parametrize(
    ("address", "location", "target"),
    [
        (PUBLIC, "jpeg?ra=1", "https://skyserver.example/dr17/jpeg?ra=1"),
        (PUBLIC, "https://mirror.example/cutout", "https://mirror.example/cutout"),
        ("http://sky.example/a", "https://sky.example/a", "https://sky.example/a"),
        (PUBLIC, "/caf\u00c3\u00a9", "https://skyserver.example/caf\u00e9"),  # the bytes of UTF-8, one character each
        (PRIVATE, "http://127.0.0.1/b", "http://127.0.0.1/b"),
    ],
)
def test_a_redirect_leads_on(address: str, location: str, target: str) -> None:
    assert redirected(address, location) == target


@pytest.mark.parametrize(
    "location",
    [
        "https://[bad",
        "https://a b/",
        "https://x:99999/",
        "https://.example/",
        "\xff",
        "ftp://sky.example/a",
        "file:///etc/passwd",
        "http://skyserver.example/dr17/cutout",
        "https://127.0.0.1/admin",
        "https://localhost/admin",
        "https://169.254.169.254/latest",
        "https://[::1]/admin",
        "https://192.168.1.1/",
    ],
)
def test_a_redirect_is_refused_and_its_address_told_by_no_other_error(location: str) -> None:
    with pytest.raises(RefusedError, match="redirect_refused"):
        redirected(PUBLIC, location)
