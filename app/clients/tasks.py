"""What workers do for clients."""

from app.clients.importing.service import IMPORT_FILE, run_import
from app.core.jobs import Lease, job


@job(IMPORT_FILE)
def import_file(lease: Lease, import_id: int) -> None:
    """Load an uploaded file into the client book; see `run_import`."""
    run_import(lease=lease, import_id=import_id)
