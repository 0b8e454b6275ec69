"""What goes wrong with a call to the outside."""

from trunkline.errors import InvalidRequest, TrunklineError


class UrlRefused(InvalidRequest):
    """A URL that is not dialled: what it says, or where it leads."""

    code, title = "url_refused", "URL refused"


class NoAnswer(TrunklineError):
    """A dialled URL that did not answer as HTTP asks, or not in time; ``detail`` says what was amiss."""

    code, status, title = "no_answer", 502, "No answer"
