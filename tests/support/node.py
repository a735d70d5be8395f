"""Programs of tests/clients: JavaScript clients and relays, spoken to in JSON lines."""

import json
import queue
import shutil
import subprocess
import threading

from support.servers import REPOSITORY, Server

PACKAGES = REPOSITORY / "build/clients/node_modules"


class Node(Server):
    """`call` asks one of its methods, and raises what that says; also what the program died of meanwhile."""

    def __init__(self, program):
        super().__init__("node")
        assert shutil.which("node"), "the clients' tests need Node 20"
        assert PACKAGES.exists(), "the clients' npm packages are missing: tests/clients/install.sh"
        self.program = program
        self._spawn(["node", REPOSITORY / "tests/clients" / program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._numbers = 0
        self._answers = {}
        self._asking = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            if "level" in answer:  # A library's own log.
                with open(self.log_path, "ab") as log:
                    log.write(line)
                continue
            for waiting in [self._answers.get(answer.get("id"))] if "id" in answer else list(self._answers.values()):
                waiting.put(answer)
            if "fatal" in answer:
                self.fatal = answer["fatal"]
        for waiting in list(self._answers.values()):
            waiting.put({"fatal": self._death()})

    fatal = None

    def _death(self):
        return f"{self.program} is gone: {self.fatal}\n{self.log()[-3000:]}"

    def call(self, method, timeout=150, **parameters):
        answers = queue.Queue()
        with self._asking:
            self._numbers += 1
            number = self._numbers
            self._answers[number] = answers
            try:
                self.process.stdin.write(json.dumps({"id": number, "call": method, "with": parameters}).encode() + b"\n")
                self.process.stdin.flush()
            except OSError:
                self._reader.join(5)
                raise AssertionError(self._death()) from None
        try:
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"{self.program} has not answered {method} within {timeout} s\n{self.log()[-3000:]}") from None
        finally:
            del self._answers[number]
        assert "value" in answer, f"{method} {parameters}: {answer.get('error') or answer.get('fatal')}\n{self.log()[-3000:]}"
        return answer["value"]

    def close(self):
        super().close()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
