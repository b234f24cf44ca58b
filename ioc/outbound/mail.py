"""Notices by mail: all that are due for one receiver in one message, so that a storm fills no mailbox."""

import ssl
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import aiosmtplib
import msgspec

from ioc.model.notices import Notice
from ioc.model.times import from_us
from ioc.outbound.receivers import in_lang
from ioc.outbound.sending import DeliveryError, MailTls

_HEADLINE = {"vi": "{count} thông báo sự cố", "en": "{count} incident notices"}
_LINE = {
    "vi": "{time}  [{severity}] {title}\n    {op} · phường {ward} · mã {id}, lần sửa {rev}",
    "en": "{time}  [{severity}] {title}\n    {op} · ward {ward} · id {id}, revision {rev}",
}


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server that takes our messages."""

    host: str
    port: int = 587
    tls: MailTls = MailTls.STARTTLS
    username: str | None = None
    password: str | None = None
    sender: str = "ioc@localhost.localdomain"
    timeout_s: float = 10.0
    context: ssl.SSLContext | None = None
    """How its certificate is checked; None: against the system's authorities."""


def compose(notices: Sequence[Notice], lang: str, sender: str, recipient: str, now_us: int) -> EmailMessage:
    """Return one message about `notices`, oldest first.

    The mail classes refuse line breaks in headers, so that no title can add a header of its own.
    """
    message = EmailMessage()
    message["From"], message["To"] = Address(addr_spec=sender), Address(addr_spec=recipient)
    message["Date"] = format_datetime(from_us(now_us))
    message["Message-ID"] = make_msgid(notices[0].id, domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    first = in_lang(notices[0].incident.title, lang)
    headline = first if len(notices) == 1 else _HEADLINE[lang].format(count=len(notices))
    message["Subject"] = " ".join(f"[IOC] {headline}".split())
    message.set_content("\n\n".join(_line(notice, lang) for notice in notices) + "\n")
    return message


def _line(notice: Notice, lang: str) -> str:
    incident = notice.incident
    return _LINE[lang].format(
        time=from_us(notice.at_us).strftime("%Y-%m-%d %H:%M:%S UTC"),
        severity=incident.severity,
        title=in_lang(incident.title, lang),
        op=notice.op,
        ward=incident.ward or "–",
        id=incident.id,
        rev=incident.rev,
    )


async def send_mail(message: EmailMessage, settings: MailSettings) -> None:
    """Hand `message` to the mail server.

    Raises:
        DeliveryError: it was not taken.
    """
    try:
        await aiosmtplib.send(
            message,
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            use_tls=settings.tls is MailTls.TLS,
            start_tls=settings.tls is MailTls.STARTTLS,
            tls_context=settings.context,
            timeout=settings.timeout_s,
        )
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise DeliveryError(f"{type(error).__name__}: {error}") from error
