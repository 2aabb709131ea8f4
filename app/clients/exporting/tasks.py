"""What workers do for exports."""

from app.clients.exporting.service import WRITE_EXPORT, expire_exports
from app.clients.exporting.service import write_export as write
from app.core.jobs import Lease, job
from app.core.queues import AUDIENCE, tick


@job(WRITE_EXPORT)
def write_export(lease: Lease, export_id: int) -> None:
    """Write the file; see `service.write_export`."""
    write(export_id=export_id)


@tick("clients.expire_exports", every=60, queue=AUDIENCE)
def expire() -> None:
    """Delete files whose time is over."""
    expire_exports()
