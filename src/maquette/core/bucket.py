"""Where a bucket is: the part of it that is ours, and how its server is spoken to. No keys."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StrictBool,
    model_validator,
)

KEY_ID = "AWS_ACCESS_KEY_ID"
KEY = "AWS_SECRET_ACCESS_KEY"
TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of one, as the platform's own tools call it


def _bare(prefix: Any) -> Any:
    return prefix.strip("/") if isinstance(prefix, str) else prefix


def _stays_below(prefix: str) -> str:
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise ValueError("each part between slashes must be a name")
    return prefix


def _is_an_address(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if not parts.hostname or parts.port == 0:  # `port` raises for one that is no number
        raise ValueError("there is no host in it")
    return endpoint.rstrip("/")


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", examples=["my-art"])]
Prefix = Annotated[
    str,
    BeforeValidator(_bare),
    Field(max_length=512, pattern=r"^[!-~]*$", examples=["iat-prod"]),
    AfterValidator(_stays_below),
]
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Endpoint = Annotated[
    str,
    Field(max_length=255, pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+/?$"),
    AfterValidator(_is_an_address),
]


class Bucket(BaseModel, frozen=True, extra="forbid"):
    """A bucket of Amazon S3, or of a server that speaks its protocol."""

    bucket: Name
    prefix: Prefix = ""
    """Everything of ours lies below it."""
    region: Region = "us-east-1"
    endpoint: Endpoint | None = None
    """The server's address; unset: Amazon's own in the region."""
    path_style: bool | None = None
    """Name the bucket in the path and not in the host; unset: wherever there is an endpoint."""

    @property
    def by_path(self) -> bool:
        """Say whether the bucket is named in the path; one with a dot fits no certificate."""
        if self.path_style is not None:
            return self.path_style
        return self.endpoint is not None or "." in self.bucket

    @property
    def url(self) -> str:
        """The address that requests go to, with the bucket in the host where it belongs there."""
        china = ".cn" if self.region.startswith("cn-") else ""
        base = self.endpoint or f"https://s3.{self.region}.amazonaws.com{china}"
        return base if self.by_path else base.replace("://", f"://{self.bucket}.", 1)

    @property
    def place(self) -> str:
        """Name it for people."""
        return "/".join(part for part in (f"s3://{self.bucket}", self.prefix) if part)

    def below(self, name: str) -> Bucket:
        """Return the part of it below one more name."""
        return self.model_copy(update={"prefix": f"{self.prefix}/{name}".lstrip("/")})


class Mirror(BaseModel, frozen=True, extra="forbid"):
    """Where a project's root is mirrored to: below the prefix and the project's slug. No keys."""

    enabled: StrictBool = True
    bucket: Name | None = None
    prefix: Prefix = ""
    region: Region = "us-east-1"
    endpoint: Endpoint | None = None
    path_style: StrictBool | None = None

    @model_validator(mode="after")
    def _has_a_bucket(self) -> Mirror:
        if self.enabled and self.bucket is None:
            raise ValueError("an enabled mirror needs a bucket")
        return self

    def of(self, slug: str) -> Bucket | None:
        """Return the part of the bucket that is one project's; None where there is no mirror."""
        if not self.enabled or self.bucket is None:
            return None
        return Bucket.model_validate(self.model_dump(exclude={"enabled"})).below(slug)
