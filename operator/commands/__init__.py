"""The click commands. Each module is loaded only when its command is named (``gossamer.operator.commands.root``)."""
