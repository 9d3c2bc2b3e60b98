"""The mail log: one function per event, each line with its queue id; here events are counted, too.

No secret and no content reaches it; recipients do, as in any mail server's log, but for those of Bcc.
"""

import structlog

from postroad import metrics
from postroad.mail.reply import Reply
from postroad.refusals import Refusal

_log = structlog.get_logger("postroad")


def _hex(identifier: int) -> str:
    return f"{identifier:016x}"


def accepted(queue_id: int, account: str, size: int, recipients: int, seconds: float) -> None:
    """A message was taken: responsibility is ours."""
    metrics.ACCEPTED.add(size, recipients, seconds)
    _log.info("accepted", queue_id=_hex(queue_id), account=account, size=size, recipients=recipients)


def refused(refusal: Refusal, path: str) -> None:
    """A request was answered with a refusal; `why` names the cause."""
    metrics.REFUSED_REQUESTS.labels(type(refusal).__name__).inc()
    _log.info("refused", why=refusal.why, answer=type(refusal).__name__, path=path)


def denied(error: str, why: str, path: str) -> None:
    """A request for tokens, or to sign in, was answered with an error of OAuth; `why` names the cause."""
    metrics.REFUSED_REQUESTS.labels(error).inc()
    _log.info("denied", why=why, answer=error, path=path)


def signed_in(account: str, peer: str) -> None:
    """Somebody at that network address is `account` now."""
    _log.info("signed in", account=account, peer=peer)


def consented(account: str, client_id: str, scopes: str) -> None:
    """`account` lets a client act within these scopes."""
    _log.info("consented", account=account, client_id=client_id, scopes=scopes)


def attempted(queue_id: int, recipient: str | None, state: str, reply: Reply) -> None:
    """A recipient was tried: `state` is relayed, failed, or queued for another try.

    `None` stands for one of Bcc: neither its address is logged, nor the reply's text, which may repeat it.
    """
    event = "delayed" if state == "queued" else state
    metrics.TRIED_RECIPIENTS[event].inc()
    shown = f"{reply.code} {reply.enhanced}" if recipient is None else str(reply)
    _log.info(event, queue_id=_hex(queue_id), recipient=recipient or "(Bcc)", reply=shown)


def tried(seconds: float) -> None:
    """An attempt has ended, after so many seconds; its recipients follow."""
    metrics.ATTEMPT_SECONDS.observe(seconds)


def secured(queue_id: int, host: str, tls: str | None, assurance: str) -> None:
    """A next hop took a message: over which version of TLS, and what was known of who took it.

    `assurance` is dane, certificate, encrypted (by a certificate that nobody looked at) or plaintext.
    """
    metrics.SECURED_MESSAGES[assurance].inc()
    _log.info("secured", queue_id=_hex(queue_id), host=host, tls=tls, assurance=assurance)


def login_failed(host: str, cause: str) -> None:
    """A smart host did not let us in, or was told nothing; its mail waits until the operator has mended that."""
    _log.error("login failed", host=host, cause=cause)


def session(host: str, policy: str, result: str, cause: str = "") -> None:
    """A session was secured as a policy demands, or not; policy and result in the words of RFC 8460."""
    metrics.TLS_SESSIONS.labels(policy, result).inc()
    if cause:
        _log.info("not secured", host=host, policy=policy, result=result, cause=cause)


def policy_missed(domain: str, result: str, cause: str) -> None:
    """An MTA-STS policy that a domain announces could not be had."""
    metrics.TLS_SESSIONS.labels("sts", result).inc()
    _log.info("no policy", domain=domain, result=result, cause=cause)


def reported(queue_id: int, about: str) -> None:
    """A report was queued for the author, about recipients that failed or are delayed."""
    metrics.REPORTS.labels(about).inc()
    _log.info("reported", queue_id=_hex(queue_id), about=about)


def pruned(what: str, rows: int) -> None:
    """Rows were removed because their time to be kept is over."""
    metrics.PRUNED.labels(what).inc(rows)
    _log.info("pruned", what=what, rows=rows)


def lost_lease(queue_id: int) -> None:
    """An attempt took longer than its lease; another node has the message now."""
    metrics.LOST_LEASES.inc()
    _log.warning("lost lease", queue_id=_hex(queue_id))


def broke_down(error: BaseException) -> None:
    """Something failed that should not have: a bug or a broken machine; the mail stays queued."""
    metrics.FAULTS.inc()
    _log.error("broke down", exc_info=error)


def storage_failed(cause: str) -> None:
    """The queue could not be read or written; `cause` says why and what to do."""
    _log.critical("storage failed", cause=cause)


def machine_failed(kind: str, cause: str) -> None:
    """The machine beneath misbehaved: its clock, its processor or its descriptors; `cause` says what to do."""
    metrics.MACHINE_FAULTS.labels(kind).inc()
    _log.error("machine failed", what=kind, cause=cause)


def serving(address: str) -> None:
    """The server listens."""
    _log.info("serving", address=address)


def stopping(step: str) -> None:
    """A step of the shutdown begins."""
    _log.info("stopping", step=step)
