"""The products people can come from."""

from app.clients.switching.braze import BRAZE
from app.clients.switching.layouts import Layout, Product
from app.clients.switching.listmonk import LISTMONK
from app.clients.switching.mailchimp import MAILCHIMP
from app.clients.switching.mautic import MAUTIC

PRODUCTS = {product.key: product for product in (LISTMONK, MAILCHIMP, MAUTIC, BRAZE)}


def find_layout(product: str | None, columns: list[str], file_name: str) -> tuple[Product, Layout] | None:
    """The layout of a file whose columns (folded) these are: of one product, or of the first that has one (None)."""
    for one in [PRODUCTS[product]] if product else PRODUCTS.values():
        layout = one.layout(columns, file_name)
        if layout is not None:
            return one, layout
    return None
