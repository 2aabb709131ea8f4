"""TLS of the channels: a peer's name and certificate are always verified."""

import ssl


def verifying_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Trusts the machine's authorities and those of the PEM file `ca_file`. Raises ValueError where that has none."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ValueError("The file of certificate authorities cannot be read.") from error
    return context
