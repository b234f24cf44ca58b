"""Settings of cameras whose events are fetched by holding a connection; every bound of that is here."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from ioc.app.settings.base import Count, Seconds, Section


class AttachSettings(Section):
    """Holding cameras' event streams, and the logins for that. Where to: `http.picture_hosts`."""

    login_key: Path | None = Field(
        None,
        description="file of the key that seals logins; empty: `secrets/login.key` in the data folder",
    )
    max_streams: Count = Field(
        500, description="streams that one process holds; more are left to other ingest processes, or wait"
    )
    max_connecting: Count = Field(16, description="cameras that are connected to at once; the others wait")
    max_part_bytes: Annotated[int, Field(ge=65_536, le=16 << 20)] = Field(
        1 << 20,
        description="longest part of a stream, or answer of a pull point; longer ones are passed over",
    )
    max_head_bytes: Annotated[int, Field(ge=256, le=65_536)] = Field(
        8_192, description="longest head of a part; a part with a longer one is passed over"
    )
    timeout_s: Seconds = Field(10.0, le=60.0, description="longest wait for a connection and for an answer")
    idle_s: Seconds = Field(60.0, description="a stream without a byte for this long is taken for dead")
    quiet_s: Seconds = Field(
        0.5, le=5.0, description="after so long without a byte, a part goes without its end if it looks whole"
    )
    retry_min_s: Seconds = Field(1.0, description="first wait after a stream ended; it doubles each time")
    retry_max_s: Seconds = Field(120.0, description="longest such wait")
    login_wait_s: Seconds = Field(
        300.0, description="first wait after a login was refused, since cameras lock out who keeps trying"
    )
    login_wait_max_s: Seconds = Field(3_600.0, description="longest such wait; a new login is tried at once")
    heartbeat_s: Annotated[int, Field(ge=1, le=60)] = Field(
        15, description="how often Dahua's cameras are asked to say that they are there: each is an event"
    )
    pull_s: Annotated[int, Field(ge=1, le=60)] = Field(
        10, description="how long an ONVIF camera may hold an answer back until there is something to tell"
    )
    pull_messages: Annotated[int, Field(ge=1, le=1_000)] = Field(
        100, description="most messages asked for at once"
    )
    subscription_s: Annotated[int, Field(ge=30, le=3_600)] = Field(
        600, description="how long an ONVIF subscription is made for; it is renewed at half of that"
    )
    lease_s: Annotated[float, Field(ge=3, le=120)] = Field(
        15.0, description="a process silent for this long loses its streams to the others"
    )
    check_s: Seconds = Field(1.0, le=10.0, description="time between two looks at which streams to hold")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.retry_max_s < self.retry_min_s or self.login_wait_max_s < self.login_wait_s:
            raise ValueError("expected retry_max_s ≥ retry_min_s and login_wait_max_s ≥ login_wait_s")
        if self.idle_s <= self.heartbeat_s:
            raise ValueError("expected idle_s > heartbeat_s, else every quiet camera is taken for dead")
        return self
