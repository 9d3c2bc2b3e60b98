"""The grants there are, each with what Authlib adds to it. What is not in this table is not granted.

So there are no tokens in an address (implicit) nor for a person's password (RFC 9700 sections 2.1.2 and 2.4).
"""

from typing import Any

from postroad.oauth.authorization_code import CodeGrant, ProofKey
from postroad.oauth.device import DeviceGrant
from postroad.oauth.jwt_bearer import AssertionGrant
from postroad.oauth.refresh import RefreshGrant

# A grant knows its grant_type itself.
GRANTS: tuple[tuple[type[Any], tuple[Any, ...]], ...] = (
    (CodeGrant, (ProofKey(required=True),)),
    (RefreshGrant, ()),
    (AssertionGrant, ()),
    (DeviceGrant, ()),
)
