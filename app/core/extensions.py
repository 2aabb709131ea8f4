"""The Flask extensions, created once and bound to the app in `create_app`."""

from typing import TYPE_CHECKING, Any, cast

from flask import current_app, has_request_context, request, session
from flask_babel import Babel
from flask_login import LoginManager, current_user
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import BigInteger, DateTime, MetaData, Table, Text
from sqlalchemy.orm import DeclarativeBase, registry

from app.config import Config
from app.core.tokens import Links, Signer

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}


class Base(DeclarativeBase):
    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={str: Text, int: BigInteger},
    )


db = SQLAlchemy(model_class=Base)
migrate = Migrate()
login_manager = LoginManager()
csrf = CSRFProtect()
babel = Babel()

if TYPE_CHECKING:

    class Model(Base):
        """The base of every table."""

        __abstract__ = True
else:
    Model = db.Model

Timestamp = DateTime(timezone=True)


def table_of(model: type[Model]) -> Table:
    """Its table, for statements that make and look for no objects: those are written a good deal quicker."""
    return cast(Table, model.__table__)


def settings() -> Config:
    """The typed configuration of the current app."""
    config: Config = current_app.extensions["bellwether_config"]
    return config


def choose_locale() -> str:
    """The signed-in person's language, else the best match of the browser's, else English."""
    if not has_request_context():
        return "en"
    chosen: Any = getattr(current_user, "locale", None) or session.get("locale")
    if chosen in LANGUAGES:
        return str(chosen)
    match = request.accept_languages.best_match(["en", "zh-CN", "zh"])
    return "zh_CN" if match and match.startswith("zh") else "en"


def links() -> Links:
    """Makes the signed public addresses that a message carries."""
    made: Links = current_app.extensions["bellwether_links"]
    return made


def signer() -> Signer:
    """Reads the tokens of those addresses."""
    made: Signer = current_app.extensions["bellwether_signer"]
    return made
