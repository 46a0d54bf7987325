"""Parameters of monitoring requests, with the error texts that tools know (spec system-and-monitoring section 10)."""

from collections.abc import Mapping

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("", "0", "f", "F", "FALSE", "false", "False"))
_INT64_MAX = (1 << 63) - 1
_UINT64_MAX = (1 << 64) - 1


class BadParameter(Exception):
    """Answered with status 400 and this text."""


def boolean(query: Mapping[str, str], name: str) -> bool:
    """Missing or empty is false. Raises BadParameter."""
    text = query.get(name, "")
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadParameter(
        f"Error decoding boolean for '{name}': strconv.ParseBool: parsing {_quoted(text)}: invalid syntax"
    )


def integer(query: Mapping[str, str], name: str) -> int:
    """Missing or empty is 0. Raises BadParameter."""
    text = query.get(name, "")
    if not text:
        return 0
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise BadParameter(f"Error decoding int for '{name}': strconv.Atoi: parsing {_quoted(text)}: invalid syntax")
    if abs(int(text)) > _INT64_MAX:
        raise BadParameter(
            f"Error decoding int for '{name}': strconv.Atoi: parsing {_quoted(text)}: value out of range"
        )
    return int(text)


def unsigned(query: Mapping[str, str], name: str) -> int:
    """Missing or empty is 0. Raises BadParameter."""
    text = query.get(name, "")
    if not text:
        return 0
    begin = f"Error decoding uint64 for '{name}': strconv.ParseUint: parsing {_quoted(text)}: "
    if not (text.isascii() and text.isdigit()):
        raise BadParameter(begin + "invalid syntax")
    if int(text) > _UINT64_MAX:
        raise BadParameter(begin + "value out of range")
    return int(text)


def with_detail(query: Mapping[str, str], name: str) -> tuple[bool, bool]:
    """A switch that may also be ``detail``: (wanted, in detail). Raises BadParameter."""
    if query.get(name, "").lower() == "detail":
        return True, True
    return boolean(query, name), False


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
