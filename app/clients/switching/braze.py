"""Braze: users of a segment as CSV, the lists of hard bounces and of unsubscribed addresses, subscription groups.

`email_subscribe` is opted_in, subscribed or unsubscribed; the segment export of the dashboard tells an opt-out by the
filled column `unsubscribed_from_emails_at`. "subscribed" is what Braze gives everybody at first, so only "opted_in"
counts as consent; in a subscription group, "subscribed" is a choice. An opt-out from a group counts for the whole
channel. Sources, under braze.com/docs: "Export segment data to CSV", "Export user profile by segment", "Query hard
bounced emails", "Query unsubscribed emails", "Subscription groups".
"""

from app.clients.switching.layouts import AGREED, BOUNCED, OPTED_OUT, Layout, Product

_EMAIL = (("email|emailaddress", "email"),)
_OUT_AT = "unsubscribedfromemailsat|emailunsubscribedat|unsubscribedat"

BRAZE = Product(
    key="braze",
    name="Braze",
    source="https://www.braze.com/docs/user_guide/data/distribution/export_braze_data/segment_data_to_csv",
    layouts=(
        Layout(
            needs=("email|emailaddress", "hardbouncedat"),
            addresses=_EMAIL,
            always=BOUNCED,
            at={BOUNCED: "hardbouncedat"},
        ),
        Layout(
            needs=("subscriptionstate|subscriptionstatus", "subscriptiongroupid|subscriptiongroup"),
            addresses=(*_EMAIL, ("phone|phonenumber", "sms")),
            status="subscriptionstate|subscriptionstatus",
            words={"subscribed": AGREED, "optedin": AGREED, "unsubscribed": OPTED_OUT},
        ),
        Layout(
            needs=("email|emailaddress", "emailsubscribe|unsubscribedfromemailsat|emailunsubscribedat"),
            addresses=_EMAIL,
            status="emailsubscribe",
            words={"unsubscribed": OPTED_OUT, "optedin": AGREED, "subscribed": None, "": None},
            filled=(("hardbouncedat", BOUNCED), ("unsubscribedfromemailsat|emailunsubscribedat", OPTED_OUT)),
            at={OPTED_OUT: _OUT_AT, AGREED: "emailoptedinat"},
        ),
        Layout(
            needs=("email|emailaddress", "unsubscribedat"),
            addresses=_EMAIL,
            filled=(("unsubscribedat", OPTED_OUT),),
            at={OPTED_OUT: "unsubscribedat"},
        ),
    ),
)
