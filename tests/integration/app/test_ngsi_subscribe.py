"""`ioc ngsi subscribe`: a context broker is asked to notify us, with a key of its own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from ioc.store.devices import hash_key
from ioc.store.embedded import Dsns
from tests.integration.app.test_cli import Ioc, ioc  # noqa: F401 - a fixture


class Broker(ThreadingHTTPServer):
    """Takes subscriptions and remembers them; answers `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 201
        self.taken: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Broker

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.taken.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.path}/urn:ngsi-ld:Subscription:7")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fiware(ioc: Ioc) -> Ioc:  # noqa: F811
    assert ioc("devices", "add", "fiware", "--decoder", "ngsi", "--covers", "fiware-*")[0] == 0
    return ioc


def subscribe(run: Ioc, broker: Broker, *more: str) -> tuple[int, str, str]:
    options = ("--device", "fiware", "--type", "Alert", "--url", "https://ioc.example/")
    return run("ngsi", "subscribe", broker.url, *options, *more)


def valid_keys(database: Dsns) -> list[bytes]:
    query = "SELECT key_hash FROM device_key WHERE revoked_at IS NULL"
    with psycopg.connect(database.admin) as connection:
        return [bytes(row[0]) for row in connection.execute(query)]


@pytest.mark.parametrize("version", ["ld", "2"])
def test_the_broker_is_told_where_and_with_what_key(
    fiware: Ioc, broker: Broker, database: Dsns, version: str
) -> None:
    code, out, err = subscribe(fiware, broker, "--version", version, "--tenant", "binhduong", "--json")
    assert code == 0, err
    assert json.loads(out)["subscription"] == "urn:ngsi-ld:Subscription:7"
    ((path, headers, body),) = broker.taken
    if version == "ld":
        assert path == "/ngsi-ld/v1/subscriptions"
        assert headers["NGSILD-Tenant"] == "binhduong"
        endpoint = body["notification"]["endpoint"]
        assert endpoint["uri"] == "https://ioc.example/api/v1/ingest/events"
        (header,) = endpoint["receiverInfo"]
        authorization = header["value"]
    else:
        assert path == "/v2/subscriptions"
        assert headers["Fiware-Service"] == "binhduong"
        custom = body["notification"]["httpCustom"]
        assert custom["url"] == "https://ioc.example/api/v1/ingest/events"
        authorization = custom["headers"]["Authorization"]
    assert hash_key(authorization.removeprefix("Bearer ")) in valid_keys(database)


def test_a_refusal_withdraws_the_key_and_says_what_the_broker_said(
    fiware: Ioc, broker: Broker, database: Dsns
) -> None:
    before = valid_keys(database)
    broker.status = 400
    code, _, err = subscribe(fiware, broker)
    assert code == 1
    assert "answers 400" in err
    assert valid_keys(database) == before


def test_a_device_of_another_decoder_gets_no_subscription(fiware: Ioc, broker: Broker) -> None:
    code, _, err = fiware(
        "ngsi",
        "subscribe",
        broker.url,
        "--device",
        "other",
        "--type",
        "Alert",
        "--url",
        "https://ioc.example",
    )
    assert code == 1
    assert "--decoder ngsi" in err
    assert not broker.taken
