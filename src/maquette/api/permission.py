"""What a request allows a call of a model to cost."""

from __future__ import annotations

from pydantic import BaseModel

from maquette.api.door import Entry
from maquette.core.errors import Forbidden
from maquette.core.money import Usd
from maquette.core.people import Scope
from maquette.db.idempotency import Claim
from maquette.services.ordering import Amount
from maquette.services.starting import Spending


class Permission(BaseModel, extra="forbid"):
    """What a call of a model may cost; nothing is paid without `confirm_spend`."""

    confirm_spend: bool = False
    max_spend_usd: Amount | None = None

    def spending(self, entry: Entry, claim: Claim | None) -> Spending:
        """Return what is allowed; refuse a credential that may not spend."""
        if self.confirm_spend and Scope.SPEND not in entry.caller.scopes:
            raise Forbidden("This key lacks the scope 'spend'; make one that has it.")
        limit = None if self.max_spend_usd is None else Usd(self.max_spend_usd)
        return Spending(
            confirmed=self.confirm_spend, max_spend=limit, by=entry.caller.user_id, claim=claim
        )
