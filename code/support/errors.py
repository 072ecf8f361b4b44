"""The one exception whose message is meant for the person who typed the command."""


class UserError(ValueError):
    """Bad input, told in one line that says what is wrong and what to do.

    It is a ValueError, so that a driver called from a notebook raises what one expects there; a command
    turns it into that line and exit status 2 (`support.command`).
    """


class UnavailableError(UserError):
    """MNIST is neither here nor to be downloaded."""
