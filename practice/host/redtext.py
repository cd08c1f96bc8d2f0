"""PowerShell's red text: the fields of an error record, and how a console prints them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

#: Width at which Windows PowerShell wraps red text when nobody sets a buffer size.
WIDTH = 120


@dataclass(frozen=True)
class RedText(Exception):
    """One error record. Raised, it ends the cmdlet; handed to `Turn.error`, the cmdlet goes on."""

    message: str
    fqid: str
    category: str = "InvalidOperation"
    target: str = ""
    target_type: str = "String"
    exception: str = "System.InvalidOperationException"

    def __str__(self) -> str:
        return self.message

    def rendered(self, cmdlet: str, call: str, width: int = WIDTH) -> str:
        """The record as the default view of Windows PowerShell 3.0 to 5.1 prints it (about_Redirection, $Error)."""
        short = self.exception.rsplit(".", 1)[-1]
        target = f"({self.target}:{self.target_type})" if self.target else "(:)"
        head = textwrap.wrap(f"{cmdlet} : {self.message}", width, break_on_hyphens=False)
        return "\r\n".join(
            [
                *head,
                "At line:1 char:1",
                f"+ {call}"[:width],
                "+ " + "~" * min(len(call), width - 2),
                f"    + CategoryInfo          : {self.category}: {target} [{cmdlet}], {short}",
                f"    + FullyQualifiedErrorId : {self.fqid}",
                " ",
                "",
            ]
        )


def not_recognized(name: str) -> RedText:
    """What PowerShell says of a command it does not know."""
    return RedText(
        f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable "
        "program. Check the spelling of the name, or if a path was included, verify that the path is correct "
        "and try again.",
        "CommandNotFoundException",
        "ObjectNotFound",
        name,
        "String",
        "System.Management.Automation.CommandNotFoundException",
    )


def binding(message: str, what: str, implementing: str) -> RedText:
    """A parameter binding error (System.Management.Automation.ParameterBindingException)."""
    return RedText(
        message,
        f"{what},{implementing}",
        "InvalidArgument",
        exception="System.Management.Automation.ParameterBindingException",
    )
