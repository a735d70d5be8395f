"""A certificate authority of our own, by openssl."""

import collections
import pathlib
import shutil
import subprocess

Certificate = collections.namedtuple("Certificate", "cert key")  # Paths, in PEM.

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)


class Authority:
    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory)
        self.cert, self._key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.cert, "-subj", f"/CN={name}", "-days", 2)

    def issue(self, name, common_name="localhost", names=("DNS:localhost",), days=2, owner=None):
        """A certificate for servers and clients; expired when `days` is negative. Its key is for its owner alone."""
        made = Certificate(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        _openssl("req", *_NEW_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={common_name}")
        extensions.write_text(f"subjectAltName={','.join(names)}\n" if names else "")
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-days", days,
                 "-extfile", extensions, "-out", made.cert)
        made.key.chmod(0o600)
        if owner:
            shutil.chown(made.key, owner)
        return made
