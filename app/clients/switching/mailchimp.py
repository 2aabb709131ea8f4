"""Mailchimp: the export of an audience, a ZIP of one CSV each for subscribed, unsubscribed and cleaned members.

Which members a file holds stands in its name and shows in its columns: only unsubscribed members have an UNSUB_TIME,
only cleaned ones (those that bounced for good) a CLEAN_TIME. Members who were never subscribed (nonsubscribed) say
nothing. Source: mailchimp.com/help/view-export-contacts and mailchimp.com/help/view-unsubscribed-and-cleaned-addresses.
"""

from app.clients.switching.layouts import AGREED, BOUNCED, OPTED_OUT, Layout, Product

_ADDRESSES = (("emailaddress|email", "email"),)

MAILCHIMP = Product(
    key="mailchimp",
    name="Mailchimp",
    source="https://mailchimp.com/help/view-export-contacts/",
    layouts=(
        Layout(
            needs=("emailaddress|email", "cleantime"),
            addresses=_ADDRESSES,
            always=BOUNCED,
            at={BOUNCED: "cleantime"},
            reason="cleancampaigntitle",
        ),
        Layout(
            needs=("emailaddress|email", "unsubtime"),
            addresses=_ADDRESSES,
            always=OPTED_OUT,
            at={OPTED_OUT: "unsubtime"},
            reason="unsubreason|unsubreasonother",
        ),
        Layout(needs=("emailaddress|email", "euid|leid|optintime"), addresses=_ADDRESSES, file_word="nonsubscribed"),
        Layout(
            needs=("emailaddress|email", "optintime"),
            addresses=_ADDRESSES,
            always=AGREED,
            at={AGREED: "optintime|confirmtime"},
        ),
    ),
)
