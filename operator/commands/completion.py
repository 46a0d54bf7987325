"""``gossamer completion``: what a shell needs to complete our words."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from gossamer.operator.commands.session import Session, reading
from gossamer.operator.output.document import Document, Text

VARIABLE = "_GOSSAMER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@reading
def completion(session: Session, shell: str) -> Document:
    """Print what a shell needs to complete commands: for bash, eval "$(gossamer completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    words = kind(click.get_current_context().find_root().command, {}, "gossamer", VARIABLE)
    # Not its own source(): that of bash starts bash to ask for its version.
    text = ShellComplete.source(words)
    return Document(data={"shell": shell, "script": text}, sections=[Text(content=text)])
