"""The mutants of a module: a seeded sample of the mutations that Cosmic Ray's operators can make.

Positions are sampled first, then one mutation at each, so that a position with many mutations counts once. A larger
sample contains the smaller one. Strings have no operator. Not mutated are annotations, decorator arguments, the
contents of `raise`, log calls and f-strings, `if TYPE_CHECKING`, the types of `isinstance`, and `strict=` of `zip`.
Operators are replaced by similar ones only: a mutant that fails at once by a type error says nothing about a test.
"""

import ast
import difflib
import random
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

BINARY = "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Div Mod_FloorDiv Pow_Mul BitOr_BitAnd BitAnd_BitOr BitXor_BitAnd"
COMPARISONS = "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is"
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in BINARY.split()),
    *(f"ReplaceComparisonOperator_{pair}" for pair in COMPARISONS.split()),
    *(f"ReplaceUnaryOperator_{change}" for change in ("USub_UAdd", "Delete_Not", "Delete_Invert")),
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
    *("ExceptionReplacer", "NumberReplacer", "RemoveDecorator"),
)
LOG_METHODS = {"debug", "info", "warning", "warn", "error", "exception"}

Place = tuple[int, int]
"""Line, from 1, and column in bytes, from 0."""


@dataclass(frozen=True)
class Mutant:
    """One mutation of a module."""

    line: int
    operator: str
    occurrence: int
    """Number of the position among those where the operator applies."""
    code: str
    """Source of the mutated module."""
    before: str
    after: str

    @property
    def name(self) -> str:
        return f"{self.operator}/{self.occurrence}"


def sample_mutants(source: str, count: int, seed: str) -> list[Mutant]:
    """Return at most `count` mutants of a module's source that compile, ordered by line."""
    rng = random.Random(seed)
    places = _places(source)
    order = rng.sample(sorted(places), len(places))
    drawn = (_mutant(source, line, *rng.choice(places[line, column])) for line, column in order)
    return sorted(islice(filter(None, drawn), count), key=lambda mutant: (mutant.line, mutant.name))


def _places(source: str) -> dict[Place, list[tuple[str, int]]]:
    """Return position -> (operator, occurrence) pairs that may mutate it."""
    lines = source.split("\n")
    excluded = [_span(node) for node in _excluded_nodes(ast.parse(source))]
    nodes = list(ast_nodes(get_ast(source)))
    places = defaultdict(list)
    for operator in OPERATORS:
        positions = OperatorProvider()[operator]().mutation_positions
        starts = (begin for node in nodes for begin, _ in positions(node))
        for occurrence, (line, column) in enumerate(starts):
            place = line, len(lines[line - 1][:column].encode())
            keyword_only = lines[line - 1].startswith("*,", column)
            if not keyword_only and not any(begin <= place < end for begin, end in excluded):
                places[place].append((operator, occurrence))
    return dict(places)


def _excluded_nodes(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                yield annotation
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield from node.decorator_list
                yield from filter(None, [getattr(node, "returns", None)])
            case ast.Raise(exc=ast.expr() as error):
                yield error
            case ast.keyword(arg="strict", value=value):
                yield value
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, types]):
                yield types
            case ast.Call(func=ast.Attribute(attr=method)) if method in LOG_METHODS:
                yield node
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.JoinedStr():
                yield node


def _span(node: ast.expr | ast.stmt) -> tuple[Place, Place]:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _mutant(source: str, line: int, operator: str, occurrence: int) -> Mutant | None:
    """Return a mutant, or None where the mutation is not valid Python."""
    try:
        code = mutate_code(source, OperatorProvider()[operator](), occurrence)
        with warnings.catch_warnings(action="ignore"):
            compile(code, "mutant", "exec")
    except (SyntaxError, AttributeError):  # Cosmic Ray's operator for exceptions cannot replace a dotted name
        return None
    changes = list(difflib.unified_diff(source.split("\n"), code.split("\n"), n=0, lineterm=""))[2:]
    before, after = (" ".join(" ".join(text[1:] for text in changes if text[0] == sign).split()) for sign in "-+")
    return Mutant(line, operator, occurrence, code, before, after)
