"""What an operator says about one SMPP link."""

import dataclasses
import re
import ssl
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from trunkline.carriers.carrier import Alphabet
from trunkline.carriers.smpp import pdu

_DEFAULT_PORTS: Final = {"smpp": 2775, "smpps": 3550}
_PREFIX: Final = re.compile(r"\+?[0-9]{0,14}")
_BINDS: Final = {
    "transceiver": pdu.BIND_TRANSCEIVER,
    "receiver": pdu.BIND_RECEIVER,
    "transmitter": pdu.BIND_TRANSMITTER,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SmppOptions:
    """One link. Raises ValueError, without the secret in its words, for what cannot work."""

    url: str = dataclasses.field(repr=False)  # smpp:// or smpps://user:secret@host:port, percent-encoded
    bind: Literal["transceiver", "receiver", "transmitter"] = "transceiver"
    window: int = 64  # requests without an answer, in either direction
    system_type: str = ""
    address_range: str = ""
    enquire_link_seconds: float = 30
    response_timeout_seconds: float = 10
    connect_timeout_seconds: float = 10
    reconnect_max_seconds: float = 60
    alphabets: Mapping[int, str] = dataclasses.field(
        default_factory=dict
    )  # data_coding → Alphabet, where the peer means another
    destination_prefixes: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )  # how the peer begins a number → how E.164 does
    tls_ca: Path | None = None  # PEM; the system's authorities without it
    tls_verify: bool = True

    host: str = dataclasses.field(init=False)
    port: int = dataclasses.field(init=False)
    system_id: str = dataclasses.field(init=False)
    password: str = dataclasses.field(init=False, repr=False)
    data_codings: Mapping[int, Alphabet] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            url = urllib.parse.urlsplit(self.url)
            host, port = url.hostname or "", url.port or _DEFAULT_PORTS[url.scheme]
            host.encode("idna")
        except (ValueError, KeyError):  # whose words may hold the secret
            host = ""
        if not host:
            raise ValueError("the url of an SMPP link is smpp://user:secret@host:port or smpps://…")
        derived = {
            "host": host,
            "port": port,
            "system_id": urllib.parse.unquote(url.username or ""),
            "password": urllib.parse.unquote(url.password or ""),
            "data_codings": _data_codings(self.alphabets),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
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
        for field in dataclasses.fields(self):
            if field.name.endswith("_seconds") and getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name} of an SMPP link is above 0")
        if self.window < 1:
            raise ValueError("the window of an SMPP link is 1 or more")

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
    table = {}
    for coding, name in alphabets.items():
        # Keys are strings where they come from TOML.
        if not (str(coding).isdecimal() and int(coding) <= 0xFF and name in set(Alphabet)):
            raise ValueError(f"alphabets of an SMPP link: {coding!r} = {name!r} is not data_coding = alphabet")
        table[int(coding)] = Alphabet(name)
    return table
