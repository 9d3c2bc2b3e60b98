"""users.getProfile: whose mailbox it is, which many programs ask before they send."""

from functools import partial

from postroad.mailbox import messages as mailbox
from postroad.web.bearer import refuse_others
from postroad.web.gmail.call import Call
from postroad.web.responses import Response


async def get(call: Call) -> Response:
    """users.getProfile. The last change of a mailbox is its newest message: nothing here changes one."""
    refuse_others(call.account, call.route.variables["userId"])
    totals = await call.database.read(partial(mailbox.totals, account_id=call.account.account_id))
    return call.answer(
        {
            "emailAddress": call.account.address,
            "messagesTotal": totals.messages,
            "threadsTotal": totals.threads,
            "historyId": str(totals.newest or 1),
        }
    )
