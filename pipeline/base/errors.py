"""The one kind of error that is shown to people as it is."""


class UserError(Exception):
    """Something that the user has to change; the message is one readable line that says what."""
