"""Messages without what the environment and the address of a server keep secret."""

import os
import re
from urllib.parse import quote, unquote

# Names of environment variables whose values are secret.
SECRET = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|(^|_)KEY($|_)", re.IGNORECASE)
SHORTEST = 4


def without_secrets(text: str) -> str:
    """Remove user and password of every address; values of environment variables that hold secrets become ``***``."""
    values = {value for name, value in os.environ.items() if SECRET.search(name) and len(value) >= SHORTEST}
    # The longest first: one secret may be a part of another.
    for value in sorted(values | _passwords(), key=len, reverse=True):
        for spelling in {value, quote(value, safe=""), unquote(value)}:
            text = text.replace(spelling, "***")
    text = re.sub(r"://[^/\s]*@", "://", text)
    return re.sub(
        r"(?i)([?&](?:[\w-]*(?:password|token|secret|signature|credential|key)|sig)=)[^&\s'\"]+", r"\1***", text
    )


def _passwords() -> set[str]:
    """Find the passwords in addresses that the environment holds; a message may quote them alone."""
    matches = (re.search(r"://[^/\s:]*:([^/\s]*)@", value) for value in os.environ.values())
    return {match[1] for match in matches if match and len(match[1]) >= SHORTEST}


def plain(error: BaseException) -> str:
    """Return the first line of an error, without secrets."""
    lines = str(error).splitlines()
    return without_secrets(lines[0] if lines and lines[0] else type(error).__name__)
