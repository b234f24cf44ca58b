"""TLS of the MQTT listener and of the connection to an external broker, as the settings say it."""

import ssl

from ioc.app.settings import SettingsError
from ioc.app.settings.sections import MqttSettings


def listener_tls(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return what the listener presents, None where it speaks plainly.

    Raises:
        SettingsError: only one of certificate and key is set, or they are unreadable or no pair.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingsError("mqtt.tls_certificate and mqtt.tls_key: set both, or neither")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"mqtt.tls_certificate {certificate} with mqtt.tls_key {key}: {error.strerror or error}"
        ) from error
    return context


def broker_tls(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return how the external broker is checked, None where the connection is plain."""
    return ssl.create_default_context() if settings.broker_tls else None
