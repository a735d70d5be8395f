import atexit
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.servers import Postgres, Redis, postgres_bindir, walcast_binary  # noqa: E402
from support.world import REDIS_PASSWORD  # noqa: E402


@pytest.fixture(scope="module")
def postgres():
    with Postgres(postgres_bindir(os.environ.get("WALCAST_PG", 15))) as server:
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis({"requirepass": REDIS_PASSWORD}) as server:
        yield server


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): the test's time limit, 120 s unless told")
    # A build may replace the binary meanwhile: all tests of one run see the same.
    if pathlib.Path(walcast_binary()).exists():
        directory = tempfile.mkdtemp(prefix="walcast-binary-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        os.environ["WALCAST_BIN"] = shutil.copy(walcast_binary(), directory)


@pytest.fixture(autouse=True)
def time_limit(request):
    """Every wait has a deadline of its own; this one is for what has none, a bug in a test."""
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else 120

    def too_long(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
