"""How a window of SMS is offered: several requests at a time, and no more of them once the account is in trouble."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from app.channels.base import Result
from app.channels.sms.message import OutgoingSms

Group = Sequence[OutgoingSms]


def offer(groups: Sequence[Group], request: Callable[[Group], list[Result]], threads: Executor) -> list[Result]:
    """What became of each message of the groups, in their order.

    `request` offers one group. After the first answer that says the account is at fault, what has not left is not
    taken: a vendor that is away for a while costs the few messages that were on their way, never a whole campaign.
    """
    troubles: list[Result] = []

    def one(group: Group) -> list[Result]:
        if troubles:
            return [troubles[0].to_wait_too(sms.message_id) for sms in group]
        results = request(group)
        troubles.extend(result for result in results if result.account_at_fault)
        return results

    return [result for results in threads.map(one, groups) for result in results]
