"""What the sections of the settings are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Size = Annotated[int, Field(ge=1024, le=1 << 30)]
"""Bytes."""


class Section(BaseModel):
    """A section: unknown names are errors, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
