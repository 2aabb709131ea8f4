"""listmonk: the export of subscribers, `uuid,email,name,attributes,status,created_at,updated_at`.

Source: the export handler in cmd/subscribers.go of github.com/knadh/listmonk; the statuses are those of
listmonk.app/docs/concepts (enabled, disabled, blocklisted). The file does not tell from which lists somebody
unsubscribed (issue 738 there): for that, filter the subscribers by the subscription status "unsubscribed", export
them, and say of the file that everyone in it opted out.
"""

from app.clients.switching.layouts import AGREED, OPTED_OUT, Layout, Product

LISTMONK = Product(
    key="listmonk",
    name="listmonk",
    source="https://github.com/knadh/listmonk/blob/master/cmd/subscribers.go",
    layouts=(
        Layout(
            needs=("uuid", "email", "status"),
            addresses=(("email", "email"),),
            status="status",
            words={
                "enabled": AGREED,
                "disabled": OPTED_OUT,
                "blocklisted": OPTED_OUT,
                "blacklisted": OPTED_OUT,  # its name until version 1.0
                "unsubscribed": OPTED_OUT,
            },
            at={OPTED_OUT: "updatedat", AGREED: "createdat"},
        ),
    ),
)
