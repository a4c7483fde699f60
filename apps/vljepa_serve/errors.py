"""What the server raises on purpose.

VljepaError
├── ConfigError      the configuration is not what it has to be (names the field)
└── ServeError       a request is not answered: not there (404), switched off (409), not now (503), too much (429)
"""

from __future__ import annotations

from vljepa_runtime import VljepaError

__all__ = ["ConfigError", "ServeError"]


class ConfigError(VljepaError):
    """The configuration, or a change of it, is refused.

    Attributes:
        field: Which value, such as `camera.door.source`; None where it is the file as a whole.
    """

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


class ServeError(VljepaError):
    """A request that is well-formed and cannot be answered.

    Attributes:
        status: Of the answer, by HTTP.
        field: Which value of the request is meant.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status, self.field, self.headers = status, field, headers or {}

    def __reduce__(self) -> tuple[object, ...]:
        """For another process, which may raise it."""
        return ServeError, (self.status, str(self)), {"field": self.field, "headers": self.headers}
