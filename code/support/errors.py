"""The exceptions whose messages are written for the person who typed the command."""


class UserError(ValueError):
    """Bad input. The message is one line that says what is wrong and what to do.

    A notebook sees a ValueError, as it would expect. A command prints the line and exits with status 2.
    """


class UnavailableError(UserError):
    """MNIST is not on this machine and cannot be downloaded."""
