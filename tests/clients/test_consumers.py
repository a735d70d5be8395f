"""The reference consumers against their own rules: each violation is caught (node --test)."""

import pathlib
import subprocess

import pytest

CONSUMERS = pathlib.Path(__file__).parent / "consumers"


@pytest.mark.parametrize("name", sorted(path.name for path in CONSUMERS.glob("*.test.mjs")))
def test_consumer(name):
    result = subprocess.run(["node", "--test", CONSUMERS / name], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
