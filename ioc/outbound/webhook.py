"""Webhooks: CloudEvents signed as the Standard Webhooks specification says, sent only where that is allowed.

The receiver checks `webhook-signature`: base64 of HMAC-SHA256 over `id.timestamp.body` with its secret, after
`v1,`. While a former secret is still valid there are several, with spaces between them: one that fits is
enough. `webhook-id` stays the same when a delivery is repeated; `webhook-timestamp` lets it refuse old ones.
https://www.standardwebhooks.com/
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from ioc.outbound.destination import (
    Destinations,
    ForbiddenDestinationError,
    Resolve,
    pin,
    resolve_host,
)
from ioc.outbound.sending import DeliveryError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix, no secret
SECRET_BYTES: Final = 32
MAX_OVERLAP_S: Final = 90 * 86_400
"""Longest that a former secret may sign beside a new one."""
_PUTTING_OFF: Final = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
_MAX_WAIT_DIGITS: Final = 9


def new_secret() -> str:
    """Return a fresh signing secret in the form the specification shows it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, delivery_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    mac = hmac.new(key, f"{delivery_id}.{timestamp_s}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


class WebhookSender:
    """Posts deliveries. Close it with `aclose`."""

    def __init__(
        self,
        allowed: Destinations,
        *,
        timeout_s: float,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._resolve = resolve
        # Without the environment's proxies: the checked address must be the one that is connected to.
        self._client = httpx.AsyncClient(
            transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self, url: str, signing: Sequence[str], delivery_id: str, body: bytes, now_us: int
    ) -> None:
        """Post one delivery, signed with each secret of `signing`, the present one first.

        Any answer of 2xx has taken it. The answer's body is not read.

        Raises:
            DeliveryError: it was not taken.
        """
        timestamp_s = now_us // 1_000_000
        headers = {
            "Content-Type": "application/cloudevents+json",
            "User-Agent": "ioc-webhook/1",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(sign(secret, delivery_id, timestamp_s, body) for secret in signing),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                target = httpx.URL(url)
                pinned, extensions = await pin(target, self._allowed, self._resolve)
                headers["Host"] = target.netloc.decode("ascii")
                request = self._client.build_request(
                    "POST", pinned, content=body, headers=headers, extensions=extensions
                )
                response = await self._client.send(request, stream=True)
                await response.aclose()
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {self._timeout_s:g} s") from error
        except ForbiddenDestinationError as error:
            raise DeliveryError(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
        if not response.is_success:
            raise _refusal(response, now_us)


def _refusal(response: httpx.Response, now_us: int) -> DeliveryError:
    """Return what an answer other than 2xx means; a redirect is not followed."""
    status, wait_s = response.status_code, 0.0
    if status in _PUTTING_OFF:
        wait_s = wait_of(response.headers.get("retry-after", ""), now_us)
    asked = f", asks to wait {wait_s:.0f} s" if wait_s else ""
    return DeliveryError(f"answered {status}{asked}", gone=status == httpx.codes.GONE, wait_s=wait_s)


def wait_of(retry_after: str, now_us: int) -> float:
    """Return for how many seconds a `Retry-After` asks (RFC 9110: seconds or a date), 0 for anything else."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:_MAX_WAIT_DIGITS])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    # A date of an unknown zone is read without one.
    return max(0.0, until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now_us / 1e6)
