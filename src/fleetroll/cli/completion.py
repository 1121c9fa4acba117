"""`fleetroll completion`: what makes a shell complete commands and options."""

import click
from click.shell_completion import FishComplete, add_completion_class, get_completion_class

VARIABLE = "_FLEETROLL_COMPLETE"  # is set where a shell asks
_SETUP = """\b
Load it in the shell's start-up file:
  bash  ~/.bashrc                    eval "$(fleetroll completion bash)"
  zsh   ~/.zshrc, after compinit     eval "$(fleetroll completion zsh)"
  fish  ~/.config/fish/config.fish   fleetroll completion fish | source"""


@add_completion_class
class _Fish(FishComplete):
    """Only the first comma ends the type of a completion: others are part of what it says."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


@click.command("completion", help="Print the completion script of a shell.", epilog=_SETUP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    found = get_completion_class(shell)
    assert found is not None, "click knows these three"
    click.echo(found(context.find_root().command, {}, "fleetroll", VARIABLE).source())
