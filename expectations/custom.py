"""Expectations on pandas frames that Great Expectations lacks.

Their metric and expectation classes register themselves by name when this module is imported.
"""

from typing import Any, ClassVar, Literal

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation, ColumnPairMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    ColumnPairMapMetricProvider,
    column_condition_partial,
    column_pair_condition_partial,
)


class ColumnValuesNotRepeated(ColumnMapMetricProvider):
    """True at the first occurrence of a value in the frame's order."""

    condition_metric_name = "column_values.not_repeated"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:  # noqa: N805 (the decorator makes it a class method)
        return ~column.duplicated(keep="first")


class ExpectColumnValuesToNotRepeat(ColumnMapExpectation):
    """Every repetition of an earlier value is unexpected; the built-in uniqueness also rejects the first one."""

    map_metric = "column_values.not_repeated"


class OneValueOfBForEachOfA(ColumnPairMapMetricProvider):
    """True if all rows with the same A have the same B."""

    condition_metric_name = "column_pair_values.one_b_for_each_a"
    condition_domain_keys = (
        "batch_id",
        "table",
        "column_A",
        "column_B",
        "row_condition",
        "condition_parser",
        "ignore_row_if",
    )
    condition_value_keys = ()

    @column_pair_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_A: pd.Series, column_B: pd.Series, **kwargs: Any) -> pd.Series:  # noqa: N803, N805
        return column_B.groupby(column_A).transform("nunique") <= 1


class ExpectOneValueOfBForEachOfA(ColumnPairMapExpectation):
    """Rows with equal column A have equal column B, such as no group in two parts; rows lacking a value are skipped."""

    ignore_row_if: Literal["either_value_is_missing"] = "either_value_is_missing"
    map_metric = "column_pair_values.one_b_for_each_a"
    success_keys: ClassVar[tuple[str, ...]] = (
        "ignore_row_if",
        "mostly",
    )  # without it the metric ignores ``ignore_row_if``
