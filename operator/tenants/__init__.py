"""Operators, accounts and users as things that are made, changed and removed: what the commands do, without a terminal.

Every function works on a ``gossamer.operator.store.workspace.Workspace`` and writes only into its change set; whoever
calls commits. Functions raise ``gossamer.operator.failure.Failure`` before they have put anything that would not fit
together.
"""
