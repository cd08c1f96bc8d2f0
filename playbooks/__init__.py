"""The runbook: what exists, what may be called, what was seen, and the plan that follows from it.

Read in this order: ``estate`` (what exists), ``catalogue`` (what may be called), ``facts`` (what was seen),
``plan`` (what a plan is), ``declare_disaster`` (facts in, plan or hard stop out). Nothing here opens a socket.
"""
