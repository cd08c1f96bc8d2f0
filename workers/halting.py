"""A journal that this worker cannot believe: said in the register, since nothing is written to such a journal.

The bot reads the register and says it to people. It may be a thing that only this host can see: its copy holds records
that the store has lost. So every hand asks the register before it acts (`incident.desk`).
"""

from __future__ import annotations

import logging

from incident.journal import REGISTER, JournalError, halt_of
from incident.register import Register
from workers.tools import Tools

_log = logging.getLogger("lync-dr.act")


def say(tools: Tools, incident: str, trouble: JournalError) -> None:
    """Says once for each incident and kind why this worker stands still; where the register cannot be written either,
    this process's log has it."""
    halt = halt_of(trouble, incident)
    if halt is None or halt.incident == REGISTER:
        return
    try:
        Register(tools.journal).halted(tools.name, halt, tools.host)
    except JournalError as away:
        _log.error("%s: that its journal cannot be believed is not in the register: %s", incident, away)


def believed(tools: Tools, incident: str) -> None:
    """Takes back what this worker has said, once it reads the journal as it should be. Raises `JournalError`."""
    register = Register(tools.journal)
    if any(halt.by == tools.name for halt in register.halts(incident)):
        register.believed_again(tools.name, incident, tools.host)
