"""users.settings.sendAs: the addresses that may stand in From, read only (gmail-wire.md 7.1)."""

from typing import Any

from postroad import refusals
from postroad.web.bearer import refuse_others
from postroad.web.gmail.call import Call
from postroad.web.responses import Response


async def listing(call: Call) -> Response:
    """users.settings.sendAs.list: that of the account first, then its aliases."""
    refuse_others(call.account, call.route.variables["userId"])
    return call.answer({"sendAs": [_resource(call, address) for address in call.account.addresses]})


async def get(call: Call) -> Response:
    """users.settings.sendAs.get. Raises `NotFound`."""
    refuse_others(call.account, call.route.variables["userId"])
    address = call.route.variables["sendAsEmail"].lower()
    if address not in call.account.addresses:
        raise refusals.NotFound(f"{address[:64]!r} is no address of {call.account.address}")
    return call.answer(_resource(call, address))


def _resource(call: Call, address: str) -> dict[str, Any]:
    """The entry of the account itself has no verificationStatus and no treatAsAlias, as with Google."""
    shown = {"sendAsEmail": address, "displayName": "", "replyToAddress": "", "signature": ""}
    if address == call.account.address:
        return shown | {"isPrimary": True, "isDefault": True}
    return shown | {"treatAsAlias": True, "verificationStatus": "accepted"}
