"""What beat has workers do for lead forms."""

from app.core.queues import TRACK, tick
from app.tracking.lead_forms.limits import forget_attempts


@tick("tracking.forget_form_attempts", every=600, queue=TRACK)
def forget() -> None:
    """Forget who tried which form, once it no longer matters."""
    forget_attempts()
