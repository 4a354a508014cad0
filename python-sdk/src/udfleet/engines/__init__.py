"""Adapters: a registered function as DuckDB, Polars, pandas, DataFusion and Spark call functions.

Each is a module of its own, which imports its engine when it is used: `from udfleet.engines import duckdb`.
"""
