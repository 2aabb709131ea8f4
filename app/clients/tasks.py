"""What workers do for clients."""

from app.clients.field_service import FREE, free_field
from app.clients.importing.service import IMPORT_FILE, run_import
from app.core.jobs import Lease, job


@job(IMPORT_FILE)
def import_file(lease: Lease, import_id: int) -> None:
    """Load an uploaded file into the client book; see `run_import`."""
    run_import(lease=lease, import_id=import_id)


@job(FREE)
def free_own_field(lease: Lease, field_id: int) -> None:
    """Empty a field that the firm gave up; see `free_field`."""
    free_field(lease=lease, field_id=field_id)
