"""A fit mirrored over several devices gives the weights of one device, since the whole batch is the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def test_two_devices_fit_as_one_does(tmp_path: Path) -> None:
    fits = subprocess.run([sys.executable, "-m", "tests.fit_on_devices", str(tmp_path)], capture_output=True, text=True)
    assert fits.returncode == 0, fits.stderr[-3000:]
    one, two = (json.loads(line) for line in fits.stdout.strip().splitlines()[-2:])
    assert (one["replicas"], two["replicas"]) == (1, 2)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-4)
    for alone, mirrored in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(mirrored, alone, rtol=1e-4, atol=1e-5)
    assert one["losses"][-1] < one["losses"][0] - 0.01, "the weights are those of a fit"
