"""The form that JSON or TOML from a file must have before its values are used."""

import json
import sys
import tomllib

from support.errors import UserError

LIMIT = 1 << 24  # bytes of a JSON file; a curve of a thousand epochs has some 150 kB


def is_number(value):
    """Whether it is a finite number."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def is_count(value):
    return type(value) is int and 0 <= value < 1 << 63


def check_form(value, form, place="content"):
    """See to it that a value out of JSON has a form.

    Parameters
    ----------
    value
    form
        A type; a function that says whether a value is right; {name: form}, an object with these fields at least,
        of which those whose name ends in "?" may be missing, and with the key ..., if it is there, the form of all
        other fields; [form], a list of values of one form; (form, None), a value that may be null.
    place : str
        What to call the value, such as "curve.3.epoch".

    Raises
    ------
    ValueError
        Which says what is missing or wrong.
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
    elif isinstance(form, list) and isinstance(value, list):
        for number, item in enumerate(value):
            check_form(item, form[0], f"{place}.{number}")
    elif not (isinstance(value, form) if isinstance(form, type) else callable(form) and form(value)):
        raise ValueError(f"its {place} is wrong: {shown(value)}")


def parse_json(text, form):
    """The value in a JSON text, which must have a form.

    Raises
    ------
    ValueError, RecursionError
        Where it has not, or is no JSON.
    """
    value = json.loads(text)
    check_form(value, form)
    return value


def read_json(path, form):
    """The value in a JSON file, which must have a form.

    Raises
    ------
    FileNotFoundError
    UserError
        Where the file is damaged.
    """
    return _read(path, lambda text: parse_json(text, form))


def read_json_lines(path, form):
    """The values in a file with a JSON text a line, each of which must have a form; raises what `read_json` does."""
    return _read(path, lambda text: [parse_json(line, form) for line in text.splitlines()])


def read_toml(path, form):
    """The value in a TOML file, which must have a form.

    Raises
    ------
    OSError, ValueError
    """
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


def shown(value, width=80):
    """A value from a file, in one short line that is safe to print."""
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        text = "a giant number"
    return "".join(filter(str.isprintable, text[: 4 * width]))[:width]
