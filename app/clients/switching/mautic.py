"""Mautic: a report of contacts with their do-not-contact entries, or contacts exported with a do-not-contact column.

An entry has a channel (email, sms) and a reason: 1 unsubscribed, 2 bounced, 3 set by staff, 0 contactable again. The
plain export of contacts leaves them out (issue 11679 of github.com/mautic/mautic), hence the report. Not to be on the
list is no consent, so these files never grant one. Source: app/bundles/LeadBundle/Entity/DoNotContact.php there.
"""

from app.clients.switching.layouts import BOUNCED, OPTED_OUT, Layout, Product

_ADDRESSES = (("email|contactemail", "email"), ("mobile|phone", "sms"))
_REASON = "reason|dncreason|donotcontactreason"

MAUTIC = Product(
    key="mautic",
    name="Mautic",
    source="https://github.com/mautic/mautic/blob/5.x/app/bundles/LeadBundle/Entity/DoNotContact.php",
    layouts=(
        Layout(
            needs=("email|contactemail|mobile|phone", _REASON),
            addresses=_ADDRESSES,
            channel="channel|dncchannel|donotcontactchannel",
            status=_REASON,
            words={
                "0": None,
                "contactable": None,
                "1": OPTED_OUT,
                "unsubscribed": OPTED_OUT,
                "2": BOUNCED,
                "bounced": BOUNCED,
                "3": OPTED_OUT,
                "manual": OPTED_OUT,
            },
            at={OPTED_OUT: "dateadded|dncdateadded", BOUNCED: "dateadded|dncdateadded"},
            reason="comments|dnccomments",
        ),
        Layout(
            needs=("email|contactemail", "donotcontact|donotemail|dnc"),
            addresses=(("email|contactemail", "email"),),
            status="donotcontact|donotemail|dnc",
            words={
                **dict.fromkeys(("1", "yes", "true", "y", "unsubscribed", "manual"), OPTED_OUT),
                **dict.fromkeys(("0", "no", "false", "n"), None),
                "bounced": BOUNCED,
            },
        ),
    ),
)
