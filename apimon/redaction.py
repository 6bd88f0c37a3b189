"""Keep secrets out of records: by the name of a key, and by the look of a text.

Names that hold secrets are recognised in query strings, JSON bodies, URLs and texts; credentials in texts (bearer and
basic credentials, JSON web tokens, passwords in URLs) by their form. Pure, and for every room that makes records.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_plus

REDACTED = "[redacted]"
TOO_DEEP = "[too deep]"

_NAMES = (
    r"pass(?:wor[dt]|wd|phrase|code)|(?<![a-z])pass(?![a-z])|pwd|pswd|contrase|密[碼码]|secret|token|mnemonic|"
    r"(?:api|access|private)[-_. ]?key|(?:sms|verification|security|[2m]fa)[-_. ]?code|"
    r"auth(?!or(?!iz))|credential|cookie|session|csrf|xsrf|jwt|bearer|signature|"
    r"(?<![a-z])(?:sig|t?otp|pin|pw|creds?|card|cvv|cvc|ssn|iban|sid|pan|key)(?![a-z])|card[-_. ]?num"
)
_NAME = re.compile(_NAMES, re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MAX_DEPTH = 32
_MAX_ENCODINGS = 3
"""How often a query's value is decoded in search of a secret: a URL in a URL in a URL."""

# Each pattern may begin only where a word does, and goes on for a bounded length where it may fail at the end: else a
# long text takes quadratic time.
_KNOWN_TOKENS = r"gh[pousr]_\w{16,}|github_pat_\w+|xox[abeprs]-[\w-]+|glpat-[\w-]+|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}"
_CREDENTIALS = re.compile(
    r"(?P<header>(?:authorization|cookie)['\"]?\s*:\s*(?:b?['\"])?)[^\s'\"][^\r\n'\"]*"
    r"|(?P<scheme>\b(?:bearer|basic|digest|token|apikey)\s+)[\w.~+/=-]{6,}"
    r"|(?<![\w-])(?:eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?|[spr]k[-_](?:live|test|proj|ant)[-_][\w-]+|" + _KNOWN_TOKENS + ")"
    # A password may hold @ and /, unless what follows the colon looks like a port.
    r"|(?P<url>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://)"
    r"(?:[^\s/@:'\"]*:(?!\d{1,5}/)[^\s'\"]{0,500}|[^\s/'\"]{0,500})@"
    r"|(?P<relative>(?<![:\w])//)[^\s/:@'\"]{1,500}:[^\s/@'\"]{1,500}@",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(?:--(?P<flag>[\w-]+)\s+(?=[^-\s])"  # --password x
    r"|(?P<key>[\w.-]+)(?:"
    r"\\*['\"]?\]?\s*(?:=>|=(?!=)|:(?!//)|%3[AaDd])\s*"  # password=x, "password": x, headers['password'] = x
    r"|['\"],\s*(?=b?['\"])"  # ('password', 'x'), and arguments in a list
    r"|>(?=[^\s<])"  # <password>x
    r"|\s+is\s+(?=['\"])))"
)
_VALUE = re.compile(
    r"b?\"(?:[^\"\\]|\\.)*\"|b?'(?:[^'\\]|\\.)*'|(?P<quote>\\+['\"]).{0,500}?(?P=quote)"
    # A bracket is followed to its line's end at most: the next lines of a traceback are worth more.
    r"|[^\s,;&<(){}\[\]]+(?:\([^)\n]*\)?)?|\([^)\n]*\)?|\[[^\]\n]*\]?|\{[^}\n]*\}?"
)
_INPUTS = frozenset({"input", "input_value"})
"""What pydantic calls the value that it refuses in the text of its errors; the field may be a secret's."""
_PARAMETER = re.compile(r"[^&;]+")
_MARKS = (
    "key", "token", "pass", "auth", "pw", "secret", "code", "card", "sid", "sig", "cookie", "session", "//", "cred",
    "pin", "pan", "otp", "srf", "jwt", "eyj", "bearer", "basic", "digest", "input", "cvv", "cvc", "ssn", "iban",
    "pswd", "mnemonic", "contrase", "密",
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "xox", "glpat-", "akia",
    "asia", "aiza", "sk-", "sk_", "pk-", "pk_", "rk-", "rk_",
)  # fmt: skip
"""One of these, in lower case, is in every text that the patterns above could change."""
_QUICK_PATH = re.compile(r"(?:/[a-z0-9_.]{0,16})*")
"""A path that is no credential's form: no separator, no capital, nothing long."""


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a key of this name holds a secret: `password`, `X-Api-Key`, `refreshToken`, `card_number`."""
    return _NAME.search(_CAMEL.sub("_", name)) is not None


def redact_text(text: str) -> str:
    """Return `text` with credentials, and values assigned to secret names, replaced."""
    if not _may_hold_secret(text):
        return text
    text = _CREDENTIALS.sub(_replace_credentials, text)
    return _redact_assignments(text)


def redact_path(path: str) -> str:
    """Return a path without the secrets that its form gives away (`/a;token=x`); fast, since every record has one."""
    return path if _QUICK_PATH.fullmatch(path) else redact_text(path)


def redact_query(query: str) -> str:
    """Return a query string with the values of secret names replaced; everything else is as it was sent."""
    if "%" not in query and not _may_hold_secret(query):
        return query
    return _PARAMETER.sub(_replace_parameter, query)


def redact_url(url: str) -> str:
    """Return a URL, whole or relative, with its password and the secrets of its query and fragment replaced."""
    base, mark, fragment = url.partition("#")
    path, question, query = base.partition("?")
    # Implicit grants put tokens into the fragment, in the form of a query.
    return f"{redact_text(path)}{question}{redact_query(query)}{mark}{redact_query(fragment)}"


def redact_json(value: object, depth: int = 0) -> object:
    """Return parsed JSON with the values of secret names replaced at any depth, whatever their type."""
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, dict | list):
        return value
    if depth == _MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, list):
        return [redact_json(item, depth + 1) for item in value]
    if isinstance(name := value.get("name"), str) and is_secret_name(name) and "value" in value:
        value = {**value, "value": REDACTED}
    return {
        redact_text(key): REDACTED if is_secret_name(key) else redact_json(item, depth + 1)
        for key, item in value.items()
    }


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that are shown, with the secrets inside their values replaced."""
    return {name: redact_url(value) if name in _URL_HEADERS else redact_text(value) for name, value in headers.items()}


_URL_HEADERS = frozenset({"location", "referer", "origin", "content-location"})


def _may_hold_secret(text: str) -> bool:
    # Substrings, not one pattern of them all: that would try each at every character.
    lowered = text.lower()
    return any(mark in lowered for mark in _MARKS)


def _replace_credentials(match: re.Match[str]) -> str:
    if slashes := match["url"] or match["relative"]:
        return f"{slashes}{REDACTED}@"
    return f"{match['header'] or match['scheme'] or ''}{REDACTED}"


def _redact_assignments(text: str) -> str:
    parts, done = [], 0
    for match in _ASSIGNMENT.finditer(text):
        # The value is looked at only now: what looks like one may hold the next assignment (`db: password=x`).
        key = match["flag"] or match["key"]
        is_secret = is_secret_name(key) or key in _INPUTS
        if match.start() >= done and is_secret and (value := _VALUE.match(text, match.end())):
            parts += [text[done : value.start()], REDACTED]
            done = value.end()
    return "".join([*parts, text[done:]])


def _replace_parameter(match: re.Match[str]) -> str:
    name, equals, value = match[0].partition("=")
    if equals and (is_secret_name(unquote_plus(name)) or _holds_secret(unquote_plus(value))):
        return f"{name}={REDACTED}"
    return match[0]


def _holds_secret(value: str) -> bool:
    for _ in range(_MAX_ENCODINGS):
        if redact_text(value) != value:
            return True
        before, value = value, unquote_plus(value)
        if value == before:
            break
    return False
