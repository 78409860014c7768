"""The exceptions that the command line turns into one line and exit status 2."""

__all__ = ["FitError", "UserError"]


class UserError(Exception):
    """Something the user can mend: the message names the subject, the rule and the value."""


class FitError(UserError):
    """A program is too large for its hardware: every short resource, and what would do."""
