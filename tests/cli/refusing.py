"""Commands that must be refused."""

from tests.conftest import Trunkline


def refused(trunkline: Trunkline, *words: str, input: str | None = None) -> str:
    """The one line on stderr of a command that must be refused, with nothing on stdout."""
    done = trunkline.run(*words, input=input)
    assert done.returncode == 1, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]
