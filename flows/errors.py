"""The one exception that the command line turns into one line and exit status 2."""

__all__ = ["UserError"]


class UserError(Exception):
    """Something the user can mend: the message names the subject, the rule and the value."""
