"""The text of expressions as tokens, and tokens as Python source that `ast` understands.

Every name becomes a placeholder, so that no column's name is a keyword of Python's; SQL's words become Python's.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import NoReturn

from ..errors import InvalidPlanError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<quoted>`(?:[^`]|``)+`)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d]\w*(?:@\d+)?)
    |(?P<operator><>|===|!==|!=|<=|>=|==|&&|\|\||[-+*/%<>=!(),.\[\]&|~])""",
    re.VERBOSE | re.UNICODE | re.DOTALL,
)
_OPERATORS = {
    "=": "==", "===": "==", "<>": "!=", "!==": "!=", "&&": "and", "||": "or", "!": "not", "&": "and", "|": "or",
    "~": "not",
}  # fmt: skip
_WORDS = {"AND": "and", "OR": "or", "NOT": "not", "IN": "in", "TRUE": "True", "FALSE": "False", "NULL": "None"}
_PYTHON = frozenset({"if", "else", "None", "is"})
_DATED = frozenset({"DATE", "TIME", "TIMESTAMP"})


@dataclass
class Token:
    """A word of the text."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the text goes on."""
        return self.start + len(self.text)

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words of SQL, in any case."""
        return self.kind == "name" and self.text.upper() in words


def fail(text: str, position: int, message: str) -> NoReturn:
    """Points at the place."""
    line = text.replace("\n", " ").replace("\t", " ")
    raise InvalidPlanError(f"{message}\n  {line}\n  {' ' * position}^", expression=text)


def tokenize(text: str) -> list[Token]:
    """The tokens."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            what = "the text that begins here does not end" if text[position] in "'\"`" else "this means nothing"
            fail(text, position, what)
        if match.lastgroup and match.lastgroup != "space":
            tokens.append(Token(match.lastgroup, match.group(), position))
        position = match.end()
    return tokens


def matching(text: str, tokens: list[Token], opening: int) -> int:
    """The index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += (tokens[index].text in ("(", "[")) - (tokens[index].text in (")", "]"))
        if depth == 0:
            return index
    fail(text, tokens[opening].start, "this parenthesis is not closed")


def split(text: str, tokens: list[Token], word: str) -> list[list[Token]]:
    """The tokens between those that are `word`, outside of parentheses."""
    parts: list[list[Token]] = [[]]
    opened: list[Token] = []
    for token in tokens:
        if token.text in ("(", "["):
            opened.append(token)
        elif token.text in (")", "]"):
            if not opened:
                fail(text, token.start, "nothing is open here")
            opened.pop()
        if not opened and (token.is_word(word) or (token.kind == "operator" and token.text == word)):
            parts.append([])
        else:
            parts[-1].append(token)
    if opened:
        fail(text, opened[-1].start, "this parenthesis is not closed")
    return parts


def unquoted(token: Token) -> str:
    """The name that a token is."""
    return token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text


def string_value(token: Token) -> str:
    """The text of a literal: doubled quotes stand for one, backslashes are Python's."""
    quote, body = token.text[0], token.text[1:-1]
    pieces = body.split(quote * 2)
    with warnings.catch_warnings():
        # Unknown escapes, as in regular expressions, stay as they are.
        warnings.simplefilter("ignore")
        return quote.join(ast.literal_eval(f"{quote * 3}{piece}{quote * 3}") if piece else "" for piece in pieces)


@dataclass
class Source:
    """Python source, and where each part of it came from."""

    text: str
    code: str = "("
    names: dict[str, str] = field(default_factory=dict)
    starts: list[tuple[int, int, int]] = field(default_factory=list)
    """Offset in the code, start and end in the text; by offset."""

    def emit(self, code: str, token: Token) -> None:
        """Adds code that stands for a token."""
        self.starts.append((len(self.code), token.start, token.end))
        self.code += f"{code} "

    def name(self, token: Token) -> str:
        """A placeholder for a name."""
        placeholder = f"n{len(self.names)}"
        self.names[placeholder] = unquoted(token)
        return placeholder

    def span(self, start: int, end: int) -> tuple[int, int]:
        """What stretch of the text this stretch of code came from."""
        inside = [(first, last) for offset, first, last in self.starts if start <= offset < end]
        return (inside[0][0], inside[-1][1]) if inside else (0, len(self.text))


def to_python(text: str, tokens: list[Token]) -> Source:
    """One expression's tokens as Python source."""
    source = Source(text)
    _translate(source, tokens)
    source.code += ")"
    return source


def _translate(source: Source, tokens: list[Token]) -> None:
    index = 0
    while index < len(tokens):
        index = _one(source, tokens, index)


def _one(source: Source, tokens: list[Token], index: int) -> int:
    token = tokens[index]
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    opens = following is not None and following.text == "("
    if token.kind == "string":
        source.emit(ascii(string_value(token)), token)
    elif token.kind == "number":
        source.emit(token.text, token)
    elif token.kind == "operator":
        return _operator(source, tokens, index)
    elif token.kind == "quoted" or (index and tokens[index - 1].text == "."):
        source.emit(source.name(token), token)
    elif token.is_word("CAST", "TRY_CAST") and opens:
        return _cast(source, tokens, index)
    elif token.is_word("CASE") and following is not None and following.text not in (",", ")", "."):
        return _case(source, tokens, index)
    elif token.is_word("BETWEEN") and index and _ends_operand(tokens[index - 1]):
        return _between(source, tokens, index)
    elif token.is_word("LIKE") and index and _ends_operand(tokens[index - 1]):
        return _matching(source, tokens, index, "like", 1)
    elif token.is_word("SIMILAR") and index and following is not None and following.is_word("TO"):
        return _matching(source, tokens, index, "similar", 2)
    elif token.is_word("EXTRACT") and opens:
        return _extract(source, tokens, index)
    elif token.is_word(*_SPOKEN) and opens:
        return _spoken(source, tokens, index)
    elif token.is_word("FILTER") and opens and index and tokens[index - 1].text == ")":
        return _filter(source, tokens, index)
    elif token.is_word("DISTINCT") and index and tokens[index - 1].text == "(" and following is not None:
        source.emit("__distinct__,", token)
    elif token.is_word(*_DATED) and following is not None and following.kind == "string":
        source.emit(f"__{token.text.lower()}__(", token)
        source.emit(f"{string_value(following)!a})", following)
        return index + 2
    elif token.is_word("INTERVAL") and following is not None and following.kind == "string":
        return _interval(source, tokens, index)
    elif token.is_word("IS"):
        source.emit("is", token)
    elif token.is_word(*_WORDS):
        source.emit(_WORDS[token.text.upper()], token)
    elif token.text in _PYTHON:
        source.emit(token.text, token)
    else:
        source.emit(source.name(token), token)
    return index + 1


def _operator(source: Source, tokens: list[Token], index: int) -> int:
    token = tokens[index]
    star = token.text == "*" and 0 < index < len(tokens) - 1
    if star and tokens[index - 1].text == "(" and tokens[index + 1].text == ")":
        source.emit("__row__", token)
    else:
        source.emit(_OPERATORS.get(token.text, token.text), token)
    return index + 1


def _cast(source: Source, tokens: list[Token], index: int) -> int:
    closing = matching(source.text, tokens, index + 1)
    parts = split(source.text, tokens[index + 2 : closing], "AS")
    if len(parts) != 2 or not all(parts):
        word = tokens[index].text.upper()
        fail(source.text, tokens[index].start, f"{word} takes an expression and a type: {word}(a AS BIGINT)")
    source.emit(f"__{tokens[index].text.lower()}__(", tokens[index])
    _translate(source, parts[0])
    first, last = parts[1][0], parts[1][-1]
    source.emit(f", {source.text[first.start : last.end]!a}", first)
    source.emit(")", tokens[closing])
    return closing + 1


def _ends_operand(token: Token) -> bool:
    """Whether a value may end here: then LIKE and BETWEEN are operators, not names."""
    return token.kind != "operator" or token.text in (")", "]")


def _end(tokens: list[Token], start: int, *words: str) -> int:
    """Where the first of these words stands outside of parentheses and of CASE, or where the tokens end."""
    depth = 0
    for index in range(start, len(tokens)):
        token = tokens[index]
        closes = token.text in (")", "]") or token.is_word("END")
        if depth == 0 and (token.is_word(*words) or (token.kind == "operator" and token.text in words)):
            return index
        if depth == 0 and closes:
            return index
        depth += (token.text in ("(", "[") or token.is_word("CASE")) - closes
    return len(tokens)


_AFTER_OPERAND = ("AND", "OR", "WHEN", "THEN", "ELSE", "AS", ",", "&", "&&", "|", "||")
_AFTER_PATTERN = (*_AFTER_OPERAND, "IS", "=", "==", "===", "<>", "!=", "!==", "<", "<=", ">", ">=")


def _between(source: Source, tokens: list[Token], index: int) -> int:
    """`a BETWEEN x AND y` as `a in __between__(x, y)`: NOT goes with it as in Python."""
    middle = _end(tokens, index + 1, *_AFTER_OPERAND)
    if middle in (index + 1, len(tokens)) or not tokens[middle].is_word("AND"):
        fail(source.text, tokens[index].start, "BETWEEN takes two values: a BETWEEN 1 AND 2")
    end = _end(tokens, middle + 1, *_AFTER_PATTERN)
    source.emit("in __between__(", tokens[index])
    _translate(source, tokens[index + 1 : middle])
    source.emit(",", tokens[middle])
    _translate(source, tokens[middle + 1 : end])
    source.emit(")", tokens[end - 1])
    return end


def _matching(source: Source, tokens: list[Token], index: int, operator: str, words: int) -> int:
    """`s LIKE 'a%'` as `s in __like__('a%')`, and so `SIMILAR TO`."""
    start = index + words
    end = _end(tokens, start, *_AFTER_PATTERN)
    if end == start:
        written = " ".join(token.text.upper() for token in tokens[index:start])
        fail(source.text, tokens[index].start, f"{written} takes a pattern: s {written} 'a%'")
    source.emit(f"in __{operator}__(", tokens[index])
    _translate(source, tokens[start:end])
    source.emit(")", tokens[end - 1])
    return end


def _case(source: Source, tokens: list[Token], index: int) -> int:
    """`CASE WHEN c THEN v ... ELSE e END` as `__case__(c, v, ..., e)`; a value behind CASE is compared with each."""
    first = _end(tokens, index + 1, "WHEN")
    subject = tokens[index + 1 : first]
    source.emit("__case__(", tokens[index])
    at = first
    if at >= len(tokens) or not tokens[at].is_word("WHEN"):
        fail(source.text, tokens[index].start, "CASE needs WHEN, THEN and END: CASE WHEN a > 0 THEN 1 ELSE 0 END")
    while at < len(tokens) and tokens[at].is_word("WHEN"):
        then = _end(tokens, at + 1, "THEN", "WHEN", "ELSE")
        if then >= len(tokens) or not tokens[then].is_word("THEN"):
            fail(source.text, tokens[at].start, "WHEN needs THEN")
        if subject:
            source.emit("(", tokens[at])
            _translate(source, subject)
            source.emit(") ==", tokens[at])
        source.emit("(", tokens[at])
        _translate(source, tokens[at + 1 : then])
        source.emit("),", tokens[then])
        at = _end(tokens, then + 1, "WHEN", "ELSE")
        _translate(source, tokens[then + 1 : at])
        source.emit(",", tokens[then])
    if at < len(tokens) and tokens[at].is_word("ELSE"):
        end = _end(tokens, at + 1)
        _translate(source, tokens[at + 1 : end])
        at = end
    else:
        source.emit("None", tokens[index])
    if at >= len(tokens) or not tokens[at].is_word("END"):
        fail(source.text, tokens[index].start, "this CASE has no END")
    source.emit(")", tokens[at])
    return at + 1


def _extract(source: Source, tokens: list[Token], index: int) -> int:
    closing = matching(source.text, tokens, index + 1)
    inner = tokens[index + 2 : closing]
    if len(inner) < 3 or inner[0].kind != "name" or not inner[1].is_word("FROM"):
        fail(source.text, tokens[index].start, "EXTRACT takes a part and a time: EXTRACT(YEAR FROM t)")
    source.emit(f"__extract__({inner[0].text.upper()!a},", tokens[index])
    _translate(source, inner[2:])
    source.emit(")", tokens[closing])
    return closing + 1


_UNITS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")


def _interval(source: Source, tokens: list[Token], index: int) -> int:
    """`INTERVAL '1-2' YEAR TO MONTH` as `__interval__('1-2', 'YEAR', 'MONTH')`."""
    units: list[str] = []
    at = index + 2
    while at < len(tokens) and len(units) < 2 and tokens[at].is_word(*_UNITS):
        units.append(tokens[at].text.upper())
        more = at + 1 < len(tokens) and tokens[at + 1].is_word("TO")
        at += 1 + more
        if not more:
            break
    if not units or tokens[at - 1].is_word("TO"):
        fail(source.text, tokens[index].start, "INTERVAL takes a text and its unit: INTERVAL '5' MINUTE")
    source.emit(f"__interval__({units[0]!a}, {''.join(units[1:])!a},", tokens[index])
    source.emit(f"{string_value(tokens[index + 1])!a})", tokens[at - 1])
    return at


_SPOKEN = {"POSITION": ("IN",), "SUBSTRING": ("FROM", "FOR"), "OVERLAY": ("PLACING", "FROM", "FOR")}
"""Functions whose arguments SQL separates by words."""


def _spoken(source: Source, tokens: list[Token], index: int) -> int:
    closing = matching(source.text, tokens, index + 1)
    source.emit(f"{source.name(tokens[index])}(", tokens[index])
    at = index + 2
    words = _SPOKEN[tokens[index].text.upper()]
    while at < closing:
        end = min(_end(tokens, at, *words), closing)
        _translate(source, tokens[at:end])
        if end < closing:
            source.emit(",", tokens[end])
        at = end + 1
    source.emit(")", tokens[closing])
    return closing + 1


def _filter(source: Source, tokens: list[Token], index: int) -> int:
    closing = matching(source.text, tokens, index + 1)
    condition = tokens[index + 2 : closing]
    if len(condition) < 2 or not condition[0].is_word("WHERE"):
        fail(source.text, tokens[index].start, "FILTER takes a condition: FILTER (WHERE a > 1)")
    source.emit(".__filter__(", tokens[index])
    _translate(source, condition[1:])
    source.emit(")", tokens[closing])
    return closing + 1
