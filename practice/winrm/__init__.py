"""A WS-Management server that unmodified pywinrm and pypsrp take for Windows, and the PowerShell behind it."""
