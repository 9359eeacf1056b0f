"""What the models of all files share: strict and frozen parts, words and ranges."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llmclf.types import Modality

Level = Literal["off", "minimal", "low", "medium", "high", "max"]
Thinking = Level | Annotated[int, Field(gt=0)]
"""A level, or a number of reasoning tokens where the model takes one."""
Media = Literal["text", "image", "audio"]
"""What a model takes."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*$")]


class Part(BaseModel):
    """A table: unknown keys are errors, values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class File(Part):
    """A file of its own."""

    version: Literal[1]
    """Version of the file format; this llmclf reads 1."""

    @field_validator("version", mode="before")
    @classmethod
    def _check_version(cls, version: object) -> object:
        if isinstance(version, bool):  # true equals 1
            raise ValueError("input should be 1")
        return version


__all__ = ["File", "Level", "Media", "Modality", "Name", "NonNegative", "Part", "Positive", "Share", "Thinking"]
