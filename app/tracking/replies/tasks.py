"""What workers do with replies: send the answers of staff."""

from app.core import jobs
from app.core.jobs import Lease
from app.tracking.replies.answering import SEND_ANSWER, send_answer


@jobs.job(SEND_ANSWER)
def send_one(lease: Lease, *, answer_id: int) -> None:
    """Send one answer; run again, it changes nothing."""
    send_answer(answer_id)
