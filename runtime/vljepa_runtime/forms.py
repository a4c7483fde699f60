"""Tables of what users write as `name` or `name:NUMBER`, such as policies, and the one reader of such tables.

Knows no policy: a row names a file and a class, which is imported when one is made, so that --help is fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar, cast

from vljepa_runtime.errors import InputError
from vljepa_runtime.suggestions import did_you_mean

__all__ = ["Form", "FormTable"]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write something.

    Attributes:
        name: What stands before the colon.
        opens: File of the runtime and class, such as `selection.uniform:Uniform`.
        number: What the number after the colon is; empty where there is none.
        argument: Which argument of the class takes it.
        kind: Reads it: `float` or `int`.
    """

    name: str
    opens: str
    number: str = ""
    argument: str = ""
    kind: Callable[[str], float] = float

    def make(self, **arguments: Any) -> Any:
        """What the class gives."""
        return resolve_name(f"vljepa_runtime.{self.opens}")(**arguments)

    def __str__(self) -> str:
        return f"{self.name}:{self.number}" if self.number else self.name


@dataclass(frozen=True, slots=True)
class FormTable(Generic[Made]):
    """All ways to write one kind of thing.

    Attributes:
        what: What is written, as messages call it.
        forms: The first one is the default.
        method: That everything of this kind has; what is given has to have it, too.
    """

    what: str
    forms: tuple[Form, ...]
    method: str

    def __str__(self) -> str:
        return " | ".join(map(str, self.forms))

    @property
    def help(self) -> str:
        """For the help of an option."""
        return ", ".join([f"{self.forms[0]} (default)", *map(str, self.forms[1:])])

    def read(self, spec: str) -> Made:
        """Make what a text names.

        Raises:
            InputError: there is no such thing, or its number is missing, wrong or not wanted.
        """
        if not isinstance(spec, str):
            raise InputError(f"expected a {self.what} as text ({self}), got {spec!r}")
        name, colon, value = spec.strip().lower().partition(":")
        forms = {bool(form.number): form for form in self.forms if form.name == name}
        if not forms:
            hint = did_you_mean(name, [form.name for form in self.forms], lead=", ")
            raise InputError(f"unknown {self.what} {spec!r}{hint} Expected {self}")
        if (form := forms.get(bool(colon))) is None:
            wanted = "takes no number" if colon else f"needs {_kind(forms[True])} after ':'"
            raise InputError(f"'{name}' {wanted}, got {spec!r}: expected {self}")
        if not colon:
            return cast("Made", form.make())
        try:
            found = form.kind(value)
        except ValueError:
            raise InputError(f"expected {_kind(form)} after ':', got {spec!r}: expected {self}") from None
        return cast("Made", form.make(**{form.argument: found}))

    def resolve(self, given: Made | str) -> Made:
        """What was given, or what a text names.

        Raises:
            InputError: it is neither.
        """
        if isinstance(given, str):
            return self.read(given)
        if not callable(getattr(given, self.method, None)):
            raise InputError(f"expected a {self.what} or a text ({self}), got {given!r}")
        return given


def _kind(form: Form) -> str:
    return "a whole number" if form.kind is int else "a number"
