"""Every table of the product, for migrations and tests."""

import app.advising.models
import app.audiences.lists.models
import app.audiences.models
import app.audit.models
import app.campaigns.models
import app.channels.email.models
import app.channels.models
import app.channels.sms.models
import app.clients.classes.models
import app.clients.duplicates.models
import app.clients.editing.models
import app.clients.engagement.models
import app.clients.exporting.models
import app.clients.feeds.models
import app.clients.holdings.models
import app.clients.metrics.models
import app.clients.models
import app.clients.notes.models
import app.clients.ownership.models
import app.clients.preferences.models
import app.clients.reachability.models
import app.clients.relations.models
import app.clients.switching.models
import app.content.calls.models
import app.content.models
import app.content.sms.models
import app.content.webhooks.models
import app.core.files
import app.core.jobs
import app.delivery.deliverability.models
import app.delivery.models
import app.tracking.machines.models
import app.tracking.lead_forms.models
import app.tracking.models
import app.tracking.openings.models
import app.users.models  # noqa: F401
