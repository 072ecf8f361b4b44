"""The form that JSON or TOML from a file must have before its values are used."""

import json
import sys
import tomllib

from support.errors import UserError
from support.files import shown

LIMIT = 1 << 24  # bytes that are read of a file; the curve of a thousand epochs has about 150 kB


def is_number(value):
    """Whether a value is a finite number."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def is_count(value):
    """Whether a value is a whole number from 0 up that fits into 8 bytes."""
    return type(value) is int and 0 <= value < 1 << 63


def check_form(value, form, place="content"):
    """Raise a ValueError that says what is missing or wrong, if a value from JSON does not have a form.

    Parameters
    ----------
    value
    form
        - A type.
        - A function that says whether a value is right.
        - {name: form}: an object with these fields. A field whose name ends in "?" may be missing. Other fields are
          ignored, or must have the form of the key ... if there is one.
        - [form]: a list of values of one form. [form, ...]: such a list with one value at least.
        - (form, None): a value of the form, or null.
    place : str
        The name of the value in the message, such as "curve.3.epoch".
    """
    if isinstance(form, tuple):
        if value is None:
            return
        form, _ = form
    if isinstance(form, dict) and isinstance(value, dict):
        fields = {name.removesuffix("?"): field for name, field in form.items() if name is not ...}
        for name in fields:
            if name not in value and f"{name}?" not in form:
                raise ValueError(f"its {place} lacks {name!r}")
        for name, item in value.items():
            if name in fields or ... in form:
                check_form(item, fields.get(name, form.get(...)), f"{place}.{shown(name)}")
    elif isinstance(form, list) and isinstance(value, list) and (value or ... not in form):
        for number, item in enumerate(value):
            check_form(item, form[0], f"{place}.{number}")
    elif not (isinstance(value, form) if isinstance(form, type) else callable(form) and form(value)):
        raise ValueError(f"its {place} is wrong: {shown(value)}")


def parse_json(text, form):
    """The value of a JSON text. A ValueError or a RecursionError says that it is not JSON, or not of the form."""
    value = json.loads(text)
    check_form(value, form)
    return value


def read_json(path, form):
    """The value in a JSON file. A UserError says that the file is damaged, a FileNotFoundError that there is none."""
    return _read(path, lambda text: parse_json(text, form))


def read_json_lines(path, form):
    """The values in a file that has one JSON text a line. The exceptions are those of `read_json`."""
    return _read(path, lambda text: [parse_json(line, form) for line in text.splitlines()])


def read_toml(path, form):
    """The value in a TOML file. A ValueError says that it is not TOML, or not of the form."""
    try:
        with open(path, "rb") as file:
            value = tomllib.loads(file.read(LIMIT).decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_form(value, form)
    return value


def _read(path, parse):
    try:
        with open(path, "rb") as file:
            return parse(file.read(LIMIT).decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({shown(error)}): make the run again, or remove its folder") from error
