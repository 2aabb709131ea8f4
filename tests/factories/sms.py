"""SMS for tests: signatures, templates, and running campaigns whose step is an SMS."""

from app.campaigns.models import Campaign, State, Step
from app.content.sms.models import Registration, SmsSignature, SmsTemplate
from app.content.sms.service import new_sms
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from tests.factories.campaigns import make_campaign


def make_signature(name: str = "Bellwether", *, state: Registration = Registration.REGISTERED) -> SmsSignature:
    """A committed signature."""
    with unit_of_work() as session:
        signature = SmsSignature(name=name, vendor_reference="SIG-1", state=state)
        session.add(signature)
    return signature


def make_sms_template(
    text: str = "Dear {{ client.first_name }}, news. 拒收请回复R", *, state: Registration = Registration.REGISTERED
) -> SmsTemplate:
    """A committed template with its one variable."""
    with unit_of_work() as session:
        template = SmsTemplate(
            name="News", text=text, variables=["client.first_name"], vendor_reference="TPL-1", state=state
        )
        session.add(template)
    return template


def make_sms_campaign(
    text: str = 'Dear {{ client.first_name | default: "client" }}, news. Reply STOP to opt out',
    *,
    state: State = State.RUNNING,
    signature: SmsSignature | None = None,
    template: SmsTemplate | None = None,
    keep_email: bool = False,
    purpose: str = "marketing",
) -> Campaign:
    """A committed campaign of one SMS (after an e-mail where `keep_email`); a statutory one knows no quiet hours."""
    campaign = make_campaign(state=state, purpose=purpose)
    with unit_of_work() as session:
        content = new_sms(
            text=text,
            signature_id=signature.id if signature else None,
            template_id=template.id if template else None,
            actor=None,
        )
        session.add(content)
        session.flush()
        if keep_email:
            session.add(Step(campaign_id=campaign.id, position=1, channel="sms", sms_content_id=content.id))
        else:
            step = campaign.steps[0]
            step.channel, step.content_id, step.sms_content_id = "sms", None, content.id
    db.session.expire_all()
    return campaign
