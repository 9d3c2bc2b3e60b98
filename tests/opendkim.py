"""Debian's libopendkim, which signs and verifies in many mail servers, as a judge of signatures."""

import ctypes
import ctypes.util
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import missing_judge

# dkim.h: DKIM_OP_SETOPT, DKIM_OPTS_*, DKIM_QUERY_FILE, DKIM_SIGFLAG_PASSED, DKIM_SIGBH_MATCH
_SET, _QUERY_METHOD, _QUERY_INFO, _FIXED_TIME = 1, 6, 7, 8
_FROM_FILE = ctypes.c_int(1)
_PASSED, _BODY_MATCHES = 0x04, 0


def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("opendkim")
    if name is None:
        missing_judge("libopendkim", "apt-get install opendkim-tools")
    library = ctypes.CDLL(name)
    for function in (library.dkim_init, library.dkim_verify):
        function.restype = ctypes.c_void_p
    library.dkim_getresultstr.restype = library.dkim_sig_getdomain.restype = ctypes.c_char_p
    library.dkim_sig_getselector.restype = library.dkim_sig_geterrorstr.restype = ctypes.c_char_p
    return library


class OpenDKIM:
    """Verifies messages at `now` (seconds) by the records given, which it reads from a file in `folder`."""

    def __init__(self, folder: Path, records: Mapping[str, str], now: int) -> None:
        self._library = _library()
        self._handle = ctypes.c_void_p(self._library.dkim_init(None, None))
        file = folder / "keys"
        file.write_text("".join(f"{name} {record}\n" for name, record in records.items()))
        self._set(_QUERY_METHOD, ctypes.byref(_FROM_FILE), ctypes.sizeof(_FROM_FILE))
        path = ctypes.create_string_buffer(str(file).encode())
        self._set(_QUERY_INFO, path, len(path.value))
        self._set(_FIXED_TIME, ctypes.byref(ctypes.c_uint64(now)), 8)

    def _set(self, option: int, value: object, size: int) -> None:
        status = self._library.dkim_options(self._handle, _SET, option, value, ctypes.c_size_t(size))
        assert status == 0, option

    def verdicts(self, message: bytes) -> dict[str, str]:
        """What it says of each signature, by selector; "" is a good one."""
        status = ctypes.c_int()
        dkim = ctypes.c_void_p(self._library.dkim_verify(self._handle, b"test", None, ctypes.byref(status)))
        try:
            self._library.dkim_chunk(dkim, message, ctypes.c_size_t(len(message)))
            self._library.dkim_chunk(dkim, None, ctypes.c_size_t(0))
            self._library.dkim_eom(dkim, None)
            return self._signatures(dkim)
        finally:
            self._library.dkim_free(dkim)

    def _signatures(self, dkim: ctypes.c_void_p) -> dict[str, str]:
        found, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int()
        self._library.dkim_getsiglist(dkim, ctypes.byref(found), ctypes.byref(count))
        return dict(self._verdict(ctypes.c_void_p(found[number])) for number in range(count.value))

    def _verdict(self, signature: ctypes.c_void_p) -> tuple[str, str]:
        flags, body = self._library.dkim_sig_getflags(signature), self._library.dkim_sig_getbh(signature)
        selector = self._library.dkim_sig_getselector(signature).decode()
        if flags & _PASSED and body == _BODY_MATCHES:
            return selector, ""
        error = self._library.dkim_sig_geterror(signature)
        text = self._library.dkim_sig_geterrorstr(ctypes.c_int(error)) or b"failed"
        return selector, f"{text.decode()} (flags {flags:#x}, body {body})"
