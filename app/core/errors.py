"""Errors that carry the sentence the user reads."""

from flask_babel import lazy_gettext as _l


class AppError(Exception):
    """An expected refusal: `message` is shown as it is (page, API body or command line).

    Subclasses set `message` (a lazy translation) and the HTTP `status`.
    """

    message: object = _l("That did not work.")
    status = 400

    def __init__(self, message: object | None = None) -> None:
        if message is not None:
            self.message = message
        super().__init__(str(type(self).__name__))

    def __str__(self) -> str:
        return str(self.message)


class NotFound(AppError):
    message = _l("This does not exist, or it is outside the part of the firm you work for.")
    status = 404


class Forbidden(AppError):
    message = _l("Your role does not allow this.")
    status = 403


class Conflict(AppError):
    """Somebody else changed the thing in between, or its state does not allow the step."""

    message = _l("This changed while you were working on it. Reload the page and try again.")
    status = 409


class Permanent(Exception):
    """Trying again cannot help (a refused address, a malformed request)."""


class Retryable(Exception):
    """Trying again later may help (a busy vendor, a lost connection before anything was handed over)."""
