"""What an operator says about one SMPP link."""

import re
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from trunkline.carriers.carrier import Alphabet
from trunkline.carriers.smpp import pdu

_DEFAULT_PORTS: Final = {"smpp": 2775, "smpps": 3550}
_PREFIX: Final = re.compile(r"\+?[0-9]{0,14}")
_BINDS: Final = {
    "transceiver": pdu.BIND_TRANSCEIVER,
    "receiver": pdu.BIND_RECEIVER,
    "transmitter": pdu.BIND_TRANSMITTER,
}


class SmppOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One link. Raises ValueError, without the secret in its words, for what cannot work."""

    url: str = ""  # smpp:// or smpps://user:secret@host:port, percent-encoded
    bind: Literal["transceiver", "receiver", "transmitter"] = "transceiver"
    window: int = 64  # requests without an answer, in either direction
    tps: float | None = None  # submit_sm a second that were agreed with the peer; None: as many as it takes
    long_texts: Literal["udh", "sar", "payload"] = "udh"  # how a text is sent that does not fit into one message
    submit_wait_seconds: float = 20  # that a text waits for room on the link
    system_type: str = ""
    address_range: str = ""
    enquire_link_seconds: float = 30
    response_timeout_seconds: float = 10
    connect_timeout_seconds: float = 10
    reconnect_max_seconds: float = 60
    alphabets: dict[int, str] = {}  # data_coding → Alphabet, where the peer means another
    destination_prefixes: dict[str, str] = {}  # how the peer begins a number → how E.164 does
    tls_ca: str | None = None  # PEM; the system's authorities without it
    tls_verify: bool = True

    def __post_init__(self) -> None:
        try:
            leads_somewhere = bool(self.host and self.port)
            self.host.encode("idna")
        except (ValueError, KeyError):  # whose words may hold the secret
            leads_somewhere = False
        if not leads_somewhere:
            raise ValueError("the url of an SMPP link is smpp://user:secret@host:port or smpps://…")
        _data_codings(self.alphabets)
        for name in ("system_id", "password", "system_type", "address_range"):
            try:
                pdu.c_octets(getattr(self, name), pdu.LONGEST_CREDENTIAL)
            except ValueError as error:
                raise ValueError(f"the {name} of an SMPP link is {error}") from None
        for written, instead in self.destination_prefixes.items():
            if not (_PREFIX.fullmatch(written) and _PREFIX.fullmatch(instead)):
                raise ValueError(f"destination_prefixes of an SMPP link are digits: {written!r} = {instead!r} is not")
        if self.bind not in _BINDS:
            raise ValueError(f"an SMPP link binds as {', '.join(_BINDS)}, not {self.bind!r}")
        for name in self.__struct_fields__:
            if name.endswith("_seconds") and getattr(self, name) <= 0:
                raise ValueError(f"{name} of an SMPP link is above 0")
        if self.tps is not None and self.tps <= 0:
            raise ValueError("the tps of an SMPP link is above 0")
        if self.long_texts not in ("udh", "sar", "payload"):
            raise ValueError(f"long_texts of an SMPP link is udh, sar or payload, not {self.long_texts!r}")
        if self.window < 1:
            raise ValueError("the window of an SMPP link is 1 or more")

    def __repr__(self) -> str:
        return f"SmppOptions({self.host}:{self.port} as {self.system_id})"

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        url = urllib.parse.urlsplit(self.url)
        return url.port or _DEFAULT_PORTS[url.scheme]

    @property
    def system_id(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).username or "")

    @property
    def password(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).password or "")

    @property
    def data_codings(self) -> dict[int, Alphabet]:
        """What the peer means by each data_coding that it uses otherwise than SMPP does."""
        return _data_codings(self.alphabets)

    @property
    def bind_command(self) -> int:
        """The command_id to bind with."""
        return _BINDS[self.bind]

    def tls_context(self) -> ssl.SSLContext | None:
        """None for smpp://. Raises OSError or ssl.SSLError where ``tls_ca`` cannot be read."""
        if not self.url.startswith("smpps:"):
            return None
        context = ssl.create_default_context(cafile=self.tls_ca)
        if not self.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _data_codings(alphabets: Mapping[int, str]) -> dict[int, Alphabet]:
    for coding, name in alphabets.items():
        if not (0 <= coding <= 0xFF and name in set(Alphabet)):
            raise ValueError(f"alphabets of an SMPP link: {coding!r} = {name!r} is not data_coding = alphabet")
    return {coding: Alphabet(name) for coding, name in alphabets.items()}
