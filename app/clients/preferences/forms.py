"""The form of a topic."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from app.clients.preferences.service import LONGEST_TOPIC


class TopicForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("In English"), [InputRequired(_l("Give the topic a name.")), Length(max=LONGEST_TOPIC)])
    name_zh = StringField(_l("In Chinese"), [Length(max=LONGEST_TOPIC)], description=_l("Empty: as in English."))
