"""Notices by mail: all that are due for one receiver in one message, so that a storm fills no mailbox."""

import ssl
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import aiosmtplib
import msgspec

from ioc.model.notices import Telling
from ioc.model.times import CITY_ZONE, from_us
from ioc.model.warnings import WarningNotice
from ioc.outbound.receivers import in_lang
from ioc.outbound.sending import DeliveryError, MailTls

_HEADLINE = {"vi": "{count} thông báo sự cố", "en": "{count} incident notices"}
_LINE = {
    "vi": "{time}  [{severity}] {title}\n    {op} · phường {ward} · mã {id}, lần sửa {rev}",
    "en": "{time}  [{severity}] {title}\n    {op} · ward {ward} · id {id}, revision {rev}",
}
_WARNING = {
    "vi": "{time}  [{severity}] {title}\n    {stage} · phường {ward} · {figure} = {value:g}"
    ", ngưỡng {threshold:g} · n = {n}{expected} · mã {id}",
    "en": "{time}  [{severity}] {title}\n    {stage} · ward {ward} · {figure} = {value:g}"
    ", threshold {threshold:g} · n = {n}{expected} · id {id}",
}
_EXPECTED = {"vi": " · dự báo vượt ngưỡng lúc {time}", "en": " · expected to cross at {time}"}
_STAGES = {
    "vi": {"forecast": "cảnh báo sớm", "crossed": "đã vượt ngưỡng", "cleared": "đã trở lại bình thường"},
    "en": {"forecast": "early warning", "crossed": "threshold crossed", "cleared": "back to normal"},
}
_CITY = {"vi": "toàn địa bàn", "en": "whole city"}


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


def compose(notices: Sequence[Telling], lang: str, sender: str, recipient: str, now_us: int) -> EmailMessage:
    """Return one message about `notices`, oldest first.

    The mail classes refuse line breaks in headers, so that no title can add a header of its own.
    """
    message = EmailMessage()
    message["From"], message["To"] = Address(addr_spec=sender), Address(addr_spec=recipient)
    message["Date"] = format_datetime(from_us(now_us))
    message["Message-ID"] = make_msgid(notices[0].id, domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    first = in_lang(notices[0].title, lang)
    headline = first if len(notices) == 1 else _HEADLINE[lang].format(count=len(notices))
    message["Subject"] = " ".join(f"[IOC] {headline}".split())
    message.set_content("\n\n".join(_line(notice, lang) for notice in notices) + "\n")
    return message


def _line(notice: Telling, lang: str) -> str:
    if isinstance(notice, WarningNotice):
        return _warning_line(notice, lang)
    incident = notice.incident
    return _LINE[lang].format(
        time=_local(notice.at_us),
        severity=incident.severity,
        title=in_lang(incident.title, lang),
        op=notice.op,
        ward=incident.ward or "–",
        id=incident.id,
        rev=incident.rev,
    )


def _warning_line(notice: WarningNotice, lang: str) -> str:
    ahead = notice.forecast_us if notice.stage == "forecast" else None
    return _WARNING[lang].format(
        time=_local(notice.at_us),
        severity=notice.severity,
        title=in_lang(notice.title, lang),
        stage=_STAGES[lang][notice.stage],
        ward=notice.ward or _CITY[lang],
        figure=notice.figure,
        value=notice.value,
        threshold=notice.threshold,
        n=notice.n,
        expected="" if ahead is None else _EXPECTED[lang].format(time=_local(ahead)),
        id=notice.id,
    )


def _local(time_us: int) -> str:
    return from_us(time_us).astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S (UTC+7)")


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
