"""What the sink does wrong: one fault, or none, is drawn for each mail transaction."""

from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """Where in a transaction it happens, and what."""

    MAIL_4XX = "mail_4xx"
    MAIL_5XX = "mail_5xx"
    MAIL_421 = "mail_421"
    MAIL_STALL = "mail_stall"
    RCPT_4XX = "rcpt_4xx"
    RCPT_5XX = "rcpt_5xx"
    DATA_4XX = "data_4xx"
    DATA_5XX = "data_5xx"
    DATA_CUT = "data_cut"  # the connection is gone instead of the 354
    BODY_CUT = "body_cut"  # … in the middle of the body
    DOT_4XX = "dot_4xx"
    DOT_5XX = "dot_5xx"
    DOT_5XX_CUT = "dot_5xx_cut"  # refused, and the connection is gone right after the answer
    DOT_421 = "dot_421"
    DOT_STALL = "dot_stall"  # accepted, and the 250 comes late
    DOT_SILENCE = "dot_silence"  # accepted, and the 250 comes when nobody waits for it any more
    DOT_CUT_REFUSED = "dot_cut_refused"  # the connection is gone instead of an answer, and nothing was accepted
    DOT_CUT_ACCEPTED = "dot_cut_accepted"  # … and the message was accepted
    DOT_CUT_ANSWERED = "dot_cut_answered"  # accepted, answered, and then the connection is gone


CUT_AFTER_THE_DOT = {Fault.DOT_CUT_REFUSED, Fault.DOT_CUT_ACCEPTED, Fault.DOT_SILENCE}
"""The faults after which no sender can know whether the message was accepted."""

CHANCES: dict[Fault, float] = {
    Fault.MAIL_4XX: 0.0005,
    Fault.MAIL_5XX: 0.0005,
    Fault.MAIL_421: 0.0003,
    Fault.MAIL_STALL: 0.0001,
    Fault.RCPT_4XX: 0.001,
    Fault.RCPT_5XX: 0.001,
    Fault.DATA_4XX: 0.0005,
    Fault.DATA_5XX: 0.0005,
    Fault.DATA_CUT: 0.0003,
    Fault.BODY_CUT: 0.0002,
    Fault.DOT_4XX: 0.0005,
    Fault.DOT_5XX: 0.0005,
    Fault.DOT_5XX_CUT: 0.0001,
    Fault.DOT_421: 0.0001,
    Fault.DOT_STALL: 0.0001,
    Fault.DOT_SILENCE: 0.00003,
    Fault.DOT_CUT_REFUSED: 0.0005,
    Fault.DOT_CUT_ACCEPTED: 0.0005,
    Fault.DOT_CUT_ANSWERED: 0.0005,
}

REFUSALS: dict[Fault, bytes] = {
    Fault.MAIL_4XX: b"451 4.3.0 try again later",
    Fault.MAIL_5XX: b"550 5.7.1 sender refused",
    Fault.MAIL_421: b"421 4.3.2 closing",
    Fault.RCPT_4XX: b"450 4.2.1 mailbox busy",
    Fault.RCPT_5XX: b"550 5.1.1 no such mailbox",
    Fault.DATA_4XX: b"451 4.3.0 not now",
    Fault.DATA_5XX: b"554 5.5.1 no",
    Fault.DOT_4XX: b"452 4.3.1 no room",
    Fault.DOT_5XX: b"554 5.7.1 content refused",
    Fault.DOT_5XX_CUT: b"554 5.7.1 content refused",
    Fault.DOT_421: b"421 4.3.2 closing",
}


STALLS = {Fault.MAIL_STALL, Fault.DOT_STALL, Fault.DOT_SILENCE}


class Faults:
    """Draws faults: `often` times as many as in `CHANCES`, and with `stalls=False` none that only takes time."""

    def __init__(self, *, often: float = 1.0, stalls: bool = True) -> None:
        self._chances = [(fault, share * often) for fault, share in CHANCES.items() if stalls or fault not in STALLS]

    def draw(self, chance: Random) -> Fault | None:
        """The fault of the next transaction, if it has one."""
        point = chance.random()
        for fault, share in self._chances:
            point -= share
            if point < 0:
                return fault
        return None
