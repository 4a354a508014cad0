"""`make bench`: udfleet against its yardsticks, side by side in one run; several rounds, medians and spread.

Exits 0 whatever the figures: they are for people to read, and differ between machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from pathlib import Path

import builtins_plan
import encrypted
import keyed
import kinds
import many_functions
import reports
import slow_beside
import small_calls
import viewers
from lines import Fleets, Line, lines
from rich.console import Console
from rich.table import Table

console = Console(width=150, highlight=False)


def number(value: float, unit: str) -> str:
    """For people: thousands and millions, micro- and milliseconds."""
    if unit == "s":
        return f"{value * 1e6:,.0f} µs" if value < 1e-3 else f"{value * 1e3:,.1f} ms"
    return f"{value / 1e6:.2f} M {unit}" if value >= 1e6 else f"{value:,.0f} {unit}"


def measure(table: list[Line], rounds: int) -> list[dict[str, object]]:
    """Every line once a round, so that what disturbs the machine disturbs all of them."""
    figures: list[list[tuple[float, float]]] = [[] for _ in table]
    for index in range(rounds):
        console.print(f"round {index + 1} of {rounds}", style="dim")
        for line, own in zip(table, figures, strict=True):
            own.append(line.measure())
    return [summary(line, own) for line, own in zip(table, figures, strict=True)]


def summary(line: Line, figures: list[tuple[float, float]]) -> dict[str, object]:
    """Medians over the rounds; the ratio is taken within each round."""
    ratios = [ours / theirs for ours, theirs in figures]
    ratio = statistics.median(ratios)
    return {
        "work": line.name,
        "against": line.against,
        "unit": line.unit,
        "udfleet": statistics.median(ours for ours, _ in figures),
        "other": statistics.median(theirs for _, theirs in figures),
        "ratio": ratio,
        "lowest": min(ratios),
        "highest": max(ratios),
        "goal": line.goal,
        "at_most": line.at_most,
        "met": line.goal is None or (ratio <= line.goal if line.at_most else ratio >= line.goal),
    }


def show(results: list[dict[str, object]]) -> None:
    """The table."""
    table = Table(title="udfleet against its yardsticks")
    for heading in ("work", "against", "udfleet", "other", "ratio", "spread", "goal", ""):
        table.add_column(heading, justify="left" if heading in ("work", "against") else "right")
    for r in results:
        unit = str(r["unit"])
        goal = "" if r["goal"] is None else f"{'≤' if r['at_most'] else '≥'} {r['goal']}"
        spread = f"{r['lowest']:.2f} to {r['highest']:.2f}"
        verdict = "[green]met[/green]" if r["met"] else "[red]MISSED[/red]"
        verdict = verdict if goal else ""
        ours, other = number(r["udfleet"], unit), number(r["other"], unit)
        table.add_row(r["work"], r["against"], ours, other, f"{r['ratio']:.2f}", spread, goal, verdict)
    console.print(table)


def other_figures(rounds: int) -> dict[str, object]:
    """What has no yardstick."""
    console.print("start-up, memory, demo", style="dim")
    cold = [reports.cold_start() for _ in range(rounds)]
    with reports.udfleet.local() as fleet:
        reports.registration(fleet, 0)
        warm = [reports.registration(fleet, index + 1) for index in range(rounds)]
    figures: dict[str, object] = {
        "cold local() to first result, s": statistics.median(cold),
        "registration to READY, warm environment, s": statistics.median(warm),
    }
    figures |= {f"idle memory of {kind}, MiB": mib for kind, mib in reports.idle_memory().items()}
    figures |= {f"coordinator {when}, % of a core": share for when, share in viewers.cost().items()}
    replanning = many_functions.replanning()
    figures |= {f"replanning after {change}, ms of CPU": figure for change, figure in replanning.items()}
    figures |= {f"demo, {name}, rows/s": rate for name, rate in reports.demo_rates().items()}
    return figures


def main() -> None:
    """Measures, shows, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--only", default="", help="lines whose name holds this text, and nothing else")
    options = parser.parse_args()
    fleets = Fleets()
    try:
        chosen = [
            line
            for line in [
                *lines(fleets),
                *kinds.lines(fleets),
                *builtins_plan.lines(fleets),
                *small_calls.lines(fleets),
                *slow_beside.lines(fleets),
                *viewers.lines(fleets),
                *many_functions.lines(fleets),
                *encrypted.lines(fleets),
                *keyed.lines(fleets),
            ]
            if options.only in line.name
        ]
        results = measure(chosen, options.rounds)
    finally:
        fleets.close()
    show(results)
    others = {} if options.only else other_figures(options.rounds)
    for name, value in others.items():
        console.print(f"{name}: {value:,.3f}" if value < 100 else f"{name}: {value:,.0f}")
    if options.json:
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "lines": results, "figures": others}, indent=2))
        console.print(f"written to {options.json}")


if __name__ == "__main__":
    main()
