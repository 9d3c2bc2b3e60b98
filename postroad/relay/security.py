"""How a session with a next hop is secured."""

import ssl


def opportunistic() -> ssl.SSLContext:
    """TLS with whoever answers: better than none, and no promise (RFC 7435).

    The certificate is not looked at: a next hop that could not be verified would else get plaintext.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
