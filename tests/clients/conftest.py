import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from integration.conftest import postgres, pytest_configure, redis, time_limit  # noqa: E402, F401
