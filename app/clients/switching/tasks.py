"""What workers do for a switch."""

from app.clients.switching.service import SWITCH_FILE, run_switch
from app.core.jobs import Lease, job


@job(SWITCH_FILE)
def switch_file(lease: Lease, switch_id: int) -> None:
    """Look at an export file, or carry it out; see `run_switch`."""
    run_switch(lease=lease, switch_id=switch_id)
