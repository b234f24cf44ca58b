"""A real OpenID Connect provider on loopback: Authlib's server side behind Python's own HTTP server.

It logs everybody in as `subject` with `claims`; a test may change them, and `tamper` what it signs.
"""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, AuthorizationServer, ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc7636 import CodeChallenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "ioc", "s3cret of the client"


class Client(ClientMixin):
    client_id = CLIENT_ID
    redirect_uri = ""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Code(AuthorizationCodeMixin):
    def __init__(self, code: str, data: dict[str, str]) -> None:
        self.code, self.data = code, data
        self.code_challenge = data.get("code_challenge")
        self.code_challenge_method = data.get("code_challenge_method")

    def get_redirect_uri(self) -> str | None:
        return self.data.get("redirect_uri")

    def get_scope(self) -> str | None:
        return self.data.get("scope")


class Payload(OAuth2Payload):
    def __init__(self, data: dict[str, str]) -> None:
        self._data = data

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._data.items()}


class Request(OAuth2Request):
    def __init__(self, method: str, uri: str, data: dict[str, str], headers: dict[str, str]) -> None:
        super().__init__(method, uri, headers=headers)
        self.payload = Payload(data)
        self._data = data

    @property
    def args(self) -> dict[str, str]:
        return self._data

    @property
    def form(self) -> dict[str, str]:
        return self._data


class Provider(AuthorizationServer):
    """The server's side; `issuer` is known once it listens."""

    def __init__(self) -> None:
        super().__init__(scopes_supported=["openid", "profile", "email"])
        self.issuer = ""
        self.client = Client()
        self.codes: dict[str, Code] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.signer: Any = self.key
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {}
        self.tamper: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.down = False
        self.register_grant(CodeGrant, [CodeChallenge(required=True)])
        self.register_token_generator("default", self.make_token)

    def make_token(self, grant_type: str, client: Client, **_: Any) -> dict[str, Any]:
        return {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60}

    def id_token(self, nonce: str | None) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce}
        signed = self.tamper(claims | self.claims)
        return jwt.encode(
            {"alg": self.algorithm, "kid": self.signer.kid}, signed, self.signer, algorithms=[self.algorithm]
        )

    def query_client(self, client_id: str) -> Client | None:
        return self.client if client_id == CLIENT_ID else None

    def save_token(self, token: dict[str, Any], request: Request) -> None:
        pass

    def create_oauth2_request(self, request: Request) -> Request:
        return request

    def create_json_request(self, request: Request) -> Request:
        return request

    def send_signal(self, *_: Any, **__: Any) -> None:
        pass

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, Any]:
        return status, body, headers

    def keys(self) -> dict[str, Any]:
        return KeySet([self.key]).as_dict(private=False)  # type: ignore[return-value]


class CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]  # noqa: RUF012 - Authlib's attribute

    def save_authorization_code(self, code: str, request: Request) -> None:
        self.server.codes[code] = Code(code, dict(request.payload.data))

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return self.server.codes.get(code)

    def delete_authorization_code(self, code: Code) -> None:
        del self.server.codes[code.code]

    def authenticate_user(self, code: Code) -> str:
        return "somebody"

    def create_token_response(self) -> tuple[int, Any, Any]:
        nonce = self.request.authorization_code.data.get("nonce")
        status, body, headers = super().create_token_response()
        return status, body | {"id_token": self.server.id_token(nonce)}, headers


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, body: Any, headers: Any = ()) -> None:
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "content-type"):
                    self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if provider.down:
                self.answer(503, {})
            elif parts.path == "/.well-known/openid-configuration":
                self.answer(
                    200,
                    {
                        "issuer": provider.issuer,
                        "authorization_endpoint": f"{provider.issuer}/authorize",
                        "token_endpoint": f"{provider.issuer}/token",
                        "jwks_uri": f"{provider.issuer}/keys",
                    },
                )
            elif parts.path == "/keys":
                self.answer(200, provider.keys())
            else:
                data = {name: values[0] for name, values in parse_qs(parts.query).items()}
                asked = Request("GET", provider.issuer + self.path, data, dict(self.headers))
                grant = provider.get_consent_grant(asked, "somebody")
                self.answer(*provider.create_authorization_response(asked, "somebody", grant))

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            data = {name: values[0] for name, values in parse_qs(text).items()}
            asked = Request("POST", provider.issuer + self.path, data, dict(self.headers))
            assert b64decode(self.headers["authorization"].split()[1])
            self.answer(*provider.create_token_response(asked))

    return Handler


@contextmanager
def identity_provider() -> Iterator[Provider]:
    """Run a provider on a free port."""
    provider = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def other_key() -> ECKey:
    """A key that the provider does not publish, under the published one's name."""
    return ECKey.generate_key("P-256", {"kid": "one"})
