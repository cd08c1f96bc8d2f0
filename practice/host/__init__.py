"""A Windows host as the rehearsal needs it: power, cmdlets, red text, a call book, faults and a control page."""
