"""The runbook: estate, catalogue, plans. Knows no wires."""
