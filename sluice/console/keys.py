"""The keys of the prompt."""

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from sluice.console.commands import is_command
from sluice.console.tokens import is_whole


def enter_ends_a_statement() -> KeyBindings:
    """Enter sends what is a whole statement or a command; in any other text it begins a line."""
    bindings = KeyBindings()

    @bindings.add("enter", filter=Condition(_is_ready))
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return bindings


def _is_ready() -> bool:
    text = get_app().current_buffer.text
    return not text.strip() or is_command(text) or is_whole(text)
