"""What hits are measured against: Flask views that answer the same bytes as pixel and click, and do nothing."""

from flask import Flask, Response

from app.tracking.hits import PIXEL

app = Flask("no_op")


@app.get("/o/<token>")
def pixel(token: str) -> Response:
    return Response(PIXEL, mimetype="image/gif", headers={"Cache-Control": "no-store, max-age=0"})


@app.get("/c/<token>")
def click(token: str) -> Response:
    headers = {
        "Location": "https://www.example.com/offer",
        "Cache-Control": "no-store, max-age=0",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
    return Response(status=302, headers=headers)
