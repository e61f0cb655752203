"""Certificates of the tests: an authority of their own, and files as servers and clients want them."""

from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_WORD: Final = "key-word"


class Certificates:
    """Files below `directory`: `ca`, `server.pem` (key and chain in one), and those of each client."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._authority = directory, trustme.CA()
        directory.mkdir(parents=True, exist_ok=True)
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self.server_certificate, self.server_key = self._issue("server", None)
        self.server = directory / "server-both.pem"
        self.server.write_text(self.server_key.read_text() + self.server_certificate.read_text())

    def client(self, name: str) -> tuple[Path, Path]:
        """The certificate and the key of a client called `name`; the key is encrypted with `KEY_WORD`."""
        return self._issue(name, KEY_WORD)

    def _issue(self, name: str, word: str | None) -> tuple[Path, Path]:
        issued = self._authority.issue_cert("127.0.0.1", "localhost", common_name=name)
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        how: KeySerializationEncryption = BestAvailableEncryption(word.encode()) if word else NoEncryption()
        loaded = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Java reads PKCS #8 only.
        key.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
        return certificate, key
