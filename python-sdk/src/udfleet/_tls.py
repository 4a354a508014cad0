"""Which certificates a client trusts and shows. Light: engines' workers read it too."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ._convert.misfit import shown
from .errors import InvalidConfigError, InvalidInputError

_LOG = logging.getLogger(__name__)

CA_VARIABLE = "UDFLEET_TLS_CA"
CERT_VARIABLE = "UDFLEET_TLS_CERT"
KEY_VARIABLE = "UDFLEET_TLS_KEY"

REPLACED_SECONDS = 2.0
"""How long a new certificate may be there before its key."""
_LOOK_AGAIN_SECONDS = 0.01
LOOK_SECONDS = 1.0
"""How long files that can't be used are left alone where former ones are."""

_ENCRYPTED = ("grpcs", "grpc+tls", "tls", "https")
_PLAIN = ("grpc+tcp", "tcp", "http")
SCHEMES = ("", "grpc", "udfleet", *_ENCRYPTED, *_PLAIN)
"""What may stand before `://`; what says nothing of TLS takes it where there is a CA."""


TlsTexts = tuple[Optional[bytes], Optional[bytes], Optional[bytes]]
"""CA, certificate and key."""


@dataclass(frozen=True)
class TlsFiles:
    """Files in PEM format, or for the CA its text. None: what the machine trusts, or no certificate is shown."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = field(default=None, repr=False)

    def read(self, patience: float | None = None) -> TlsTexts:
        """The texts of all three. While certificate and key are being replaced, one after the other, this waits.

        :param patience: for so many seconds; None: REPLACED_SECONDS.
        :raises InvalidConfigError: a file can't be read, or the key is that of another certificate.
        """
        give_up_at = time.monotonic() + (REPLACED_SECONDS if patience is None else patience)
        while True:
            before = self.stamp()
            texts = _read("tls_ca", self.ca), _read("tls_cert", self.cert), _read("tls_key", self.key)
            belong = _belong_together(self.cert, self.key)
            if belong and self.stamp() == before:
                return texts
            if time.monotonic() >= give_up_at:
                break
            time.sleep(_LOOK_AGAIN_SECONDS)
        raise InvalidConfigError(
            f"tls_key {self.key} is not the key of the certificate in tls_cert {self.cert}",
            hint="name the two files of one pair",
        )

    def stamp(self) -> tuple[Any, ...]:
        """Differs once a file has changed."""
        return tuple(_stamp(file) for file in (self.ca, self.cert, self.key))

    def portable(self) -> TlsFiles:
        """For processes on other machines: the CA as text. Keys stay in files, which have to be there."""
        ca = _read("tls_ca", self.ca)
        return TlsFiles(None if ca is None else ca.decode("ascii", "replace"), self.cert, self.key)


class TlsSource:
    """What connections are opened with: what the files hold now, or held when they could be read last. Thread-safe."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._texts: TlsTexts | None = None
        self._stamp: Any = None
        self._look_at = 0.0
        self._complained: Any = None

    def current(self) -> TlsTexts:
        """The texts: the same object as long as nothing has changed. Waits and fails only where it never had any."""
        with self._lock:
            if self._texts is None:
                self._stamp = self._files.stamp()
                self._texts = self._files.read()
            elif time.monotonic() >= self._look_at:
                stamp = self._files.stamp()
                if stamp != self._stamp:
                    self._renew(self._texts, stamp)
            return self._texts

    def _renew(self, former: TlsTexts, stamp: Any) -> None:
        try:
            self._texts, self._stamp = self._files.read(patience=0.0), stamp
        except InvalidConfigError as error:
            # Others are at work on them, or something is wrong: connections that are open go on meanwhile.
            self._look_at = time.monotonic() + LOOK_SECONDS
            if stamp != self._complained:
                _LOG.warning("the former certificates are used on: %s", error)
            self._complained = stamp
        else:
            if self._texts == former:
                self._texts = former


def choose(address: Any, ca: Any = None, cert: Any = None, key: Any = None) -> TlsFiles | None:
    """How to connect to these addresses; None: in plain text.

    What is not given comes from the variables UDFLEET_TLS_CA, UDFLEET_TLS_CERT and UDFLEET_TLS_KEY; an empty text is
    none.

    :raises InvalidInputError: address and files say different things, or one of a pair is missing.
    """
    schemes = {_said(part) for part in _parts(address)} - {None}
    if len(schemes) > 1:
        raise InvalidInputError(
            f"{shown(address)}: some addresses are with TLS and some without",
            hint="a fleet has it everywhere or nowhere",
        )
    given = [_path(ca, "tls_ca"), _path(cert, "tls_cert"), _path(key, "tls_key")]
    if False in schemes:
        if any(given):
            raise InvalidInputError(
                f"{shown(address)} is an address without TLS, and certificates are given",
                hint="write host:port or grpcs://host:port, or leave the certificates out",
            )
        return None
    variables = (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE)
    names = [os.environ.get(name) if one is None else one for one, name in zip(given, variables)]
    files = TlsFiles(*(name or None for name in names))
    if True not in schemes and files.ca is None:
        if any(given):
            raise InvalidInputError("tls_cert is given, and tls_ca is not", hint="name the fleet's CA file")
        return None
    if (files.cert is None) != (files.key is None):
        raise InvalidInputError("tls_cert and tls_key are a pair: one of them is missing", hint="give both or none")
    return files


def _parts(address: Any) -> Sequence[Any]:
    if isinstance(address, str):
        return address.split(",")
    return address if isinstance(address, (list, tuple)) else ()


def _said(address: Any) -> bool | None:
    if not isinstance(address, str):
        return None
    scheme = address.strip().rpartition("://")[0].lower()
    return True if scheme in _ENCRYPTED else False if scheme in _PLAIN else None


def _path(value: Any, what: str) -> str | None:
    if value is None:
        return None
    try:
        return os.fsdecode(value)
    except TypeError:
        raise InvalidInputError(f"{what} must be the path of a file, not {shown(value)}", hint="PEM format") from None


def _is_text(file: str) -> bool:
    return file.lstrip().startswith("-----BEGIN ")


def _read(what: str, file: str | None) -> bytes | None:
    if file is None:
        return None
    if _is_text(file):
        return file.encode()
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise InvalidConfigError(
            f"{what} {file}: {error.strerror or error}", hint="name a file in PEM format"
        ) from None


def _belong_together(cert: str | None, key: str | None) -> bool:
    """False where the key is that of another certificate. What else may be wrong with them is told by who uses them."""
    if cert is None or key is None or _is_text(cert) or _is_text(key):
        return True
    import ssl

    try:
        # The password is asked for on the terminal otherwise.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        return error.reason != "KEY_VALUES_MISMATCH"
    except OSError:
        return True
    return True


def _stamp(file: str | None) -> Any:
    if file is None or _is_text(file):
        return None
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
