"""The factories that other features' tests stand on."""

from flask import Flask
from sqlalchemy import func, select

from app.clients.models import Client
from app.core.extensions import db
from tests.factories.clients import make_client, make_clients


def test_clients_are_numbered_on(app: Flask) -> None:
    make_client(name="李雷")
    ids = make_clients(5_001, email=lambda i: f"x{i}@example.com", city="Shanghai")
    assert len(ids) == len(set(ids)) == 5_001
    assert db.session.get_one(Client, ids[0]).number == "2"
    assert db.session.get_one(Client, ids[-1]).email == "x5001@example.com"
    assert db.session.scalar(select(func.count()).select_from(Client).where(Client.city == "Shanghai")) == 5_001
