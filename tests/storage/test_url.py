"""Connection URIs: what libpq understands is understood, or refused in a line that names it and holds no password."""

import pathlib
import ssl

import pytest

from trunkline.errors import OperatorError
from trunkline.storage import url
from trunkline.storage.url import Host, Keepalive, read

PASSWORD = "p%40ss%2Fw%3Aord%3F"
PLAIN = "p@ss/w:ord?"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("postgresql://db.example/app", [Host("db.example", 5432)]),
        ("postgres://user@db.example:6000/app", [Host("db.example", 6000)]),
        ("postgresql://a,b:6001,[::1]:6002/app", [Host("a", 5432), Host("b", 6001), Host("::1", 6002)]),
        ("postgresql:///app?host=/run/postgresql&port=6003", [Host("/run/postgresql", 6003)]),
        ("postgresql://%2Frun%2Fpostgresql:6004/app", [Host("/run/postgresql", 6004)]),
        ("postgresql:///app?host=a,b&port=1,2", [Host("a", 1), Host("b", 2)]),
        ("postgresql:///app?host=a,b&port=7", [Host("a", 7), Host("b", 7)]),
        ("postgresql://db.example/app?hostaddr=192.0.2.1", [Host("db.example", 5432, "192.0.2.1")]),
        ("postgresql:///app?hostaddr=192.0.2.1", [Host("192.0.2.1", 5432, "192.0.2.1")]),
        ("postgresql://:6005/app", [Host("localhost", 6005)]),
        ("postgresql:///app", []),
        ("postgresql://", []),
    ],
)
def test_hosts_and_ports_stand_where_libpq_looks_for_them(text: str, hosts: list[Host]) -> None:
    assert list(read(text).hosts) == hosts


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        (f"postgresql://us%65r:{PASSWORD}@h/my%20db", f"dbname=my%20db&password={PASSWORD}&user=user"),
        (f"postgresql://h/app?user=u&password={PASSWORD}", f"dbname=app&password={PASSWORD}&user=u"),
        ("postgresql://u@h/app?sslmode=verify-full&sslrootcert=%2Fdev%2Fnull",
         "dbname=app&sslmode=verify-full&sslrootcert=%2Fdev%2Fnull&user=u"),
        ("postgresql://u@h/app?ssl=true", "dbname=app&sslmode=require&user=u"),
        ("postgresql://u:a+b@h/", "password=a%2Bb&user=u"),
        ("postgresql://?service=mine", "service=mine"),
    ],
)  # fmt: skip
def test_who_and_which_database_reach_the_driver_as_they_were_meant(given: str, handed_on: str) -> None:
    scheme, _, query = read(given).dsn.partition("?")
    assert scheme == "postgresql://"
    assert sorted(query.split("&")) == sorted(handed_on.split("&"))


def test_the_url_of_a_hosted_database_is_understood_whole() -> None:
    target = read(
        "postgresql://u:p@ep-1.example/app?sslmode=require&channel_binding=prefer&connect_timeout=10&gssencmode=disable"
        "&keepalives=1&keepalives_idle=30&keepalives_interval=7&keepalives_count=4&tcp_user_timeout=9000"
        "&application_name=shop&options=-c%20search_path%3Dapp&target_session_attrs=read-write&load_balance_hosts=random"
        "&client_encoding=UTF8&sslnegotiation=direct"
    )
    assert target.settings == {"application_name": "shop", "options": "-c search_path=app"}
    assert target.connect_seconds == 10
    assert target.keepalive == Keepalive(True, 30, 7, 4, 9000)
    assert target.in_any_order


def test_the_systems_certificates_are_trusted_and_the_name_is_checked() -> None:
    target = read("postgresql://u@h/app?sslrootcert=system")
    assert target.tls is not None
    assert target.tls.check_hostname
    assert target.tls.verify_mode == ssl.CERT_REQUIRED
    assert "ssl" not in target.dsn


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("channel_binding=require", "channel_binding=require of the database URL is not supported"),
        ("gssencmode=require", "gssencmode=require"),
        ("client_encoding=latin1", "client_encoding=latin1"),
        ("sslmod=require", "'sslmod'; is sslmode meant?"),
        ("pgbouncer=true", "'pgbouncer'"),
        ("sslmode=full", "sslmode=full of the database URL is not one of disable, allow, prefer"),
        ("sslmode=require&sslrootcert=system", "sslmode=require of the database URL is too weak"),
        ("target_session_attrs=standby", "target_session_attrs=standby"),
        ("connect_timeout=soon", "connect_timeout=soon of the database URL is not a whole number"),
        ("requirepeer=postgres", "requirepeer"),
        ("keepalives=maybe", "keepalives=maybe"),
        ("sslcertmode=require", "sslcertmode=require"),
        ("sslmode", "has no value"),
        ("sslrootcert=/nowhere.pem", "The file /nowhere.pem that sslrootcert of the database URL names cannot be read"),
        ("user=%FF", "user is not UTF-8"),
    ],
)
def test_what_is_not_followed_is_named_in_one_line_at_once(query: str, named: str) -> None:
    with pytest.raises(OperatorError) as refused:
        read(f"postgresql://u:{PASSWORD}@h/app?{query}")
    assert named in refused.value.detail
    assert "\n" not in refused.value.detail
    assert PLAIN not in refused.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:s3cret@h/app",
        "host=h password=s3cret",
        "postgresql://u:s3/cret@h/app",
        "postgresql://u:s3?cret@h/app",
        "postgresql://u:s3?cret=1@h/app",
        "postgresql://u:s3%FFcret@h/app",
        "postgresql://u:s3cret@h:port/app",
        "postgresql://u:s3cret@h:99999/app",
        "postgresql://u:s3cret@[::1/app",
        "postgresql://u:s3cret@h/app?hostaddr=1.1.1.1,2.2.2.2",
        "postgresql://u:s3cret@a,b/app?port=1,2,3",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_a_part_of_its_password(text: str) -> None:
    with pytest.raises(OperatorError) as refused:
        read(text)
    assert "s3" not in refused.value.detail
    assert "cret" not in refused.value.detail


def test_no_parameter_of_libpq_is_unknown() -> None:
    """PostgreSQL 18, §34.1.2."""
    every = pathlib.Path(__file__).with_name("libpq_parameters.txt").read_text().split()
    known = {*url.PASSED, *url.FOLLOWED, *url.HARMLESS, *url.UNSUPPORTED}
    assert set(every) <= known


@pytest.mark.parametrize("text", ["postgresql://u:a%23b@h/app", "postgresql://u:a#b@h/app", "postgresql://u:a@b@h/app"])
def test_a_password_may_hold_what_other_urls_may_not(text: str) -> None:
    assert [host.name for host in read(text).hosts] == ["h"]
