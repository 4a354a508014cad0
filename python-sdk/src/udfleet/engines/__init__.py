"""Adapters: a registered function as ClickHouse, DataFusion, DuckDB, Flink, pandas, Polars and Spark call functions.

Each is a module of its own, and only it imports its engine: `from udfleet.engines import duckdb`.
"""
