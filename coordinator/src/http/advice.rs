//! What the numbers of a function say that would make it faster, with the numbers.

use schemars::JsonSchema;
use serde::Serialize;

use super::rows::{BatchRows, FunctionRow};

/// Fewer batches say nothing.
const ENOUGH_CALLS: u64 = 100;
/// Rows in a batch below which its fixed costs show.
const SMALL_BATCH: u64 = 32;
/// Time below which no part of it is worth a word, seconds per second.
const WORTH: f32 = 0.05;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Advice {
    /// For programs: SMALL_BATCHES, QUEUE, CONVERT, TRANSFER, ERRORS.
    pub advice: &'static str,
    /// What was measured.
    pub measured: String,
    /// What to do.
    pub action: String,
}

/// All that is worth doing.
#[must_use]
pub fn advise(row: &FunctionRow, batches: &[BatchRows]) -> Vec<Advice> {
    let mut all = Vec::new();
    let mut tell = |advice, measured: String, action: &str| {
        all.push(Advice { advice, measured, action: action.to_owned() });
    };
    let (split, totals) = (&row.split, &row.totals);
    let (busy, percent) = (split.total(), |part: f32| (part / split.total().max(f32::MIN_POSITIVE) * 100.0).round());
    if totals.calls >= ENOUGH_CALLS {
        let count = |small: bool| -> u64 {
            batches.iter().filter(|one| !small || one.to < SMALL_BATCH).map(|one| one.batches).sum()
        };
        let (small, all) = (count(true), count(false).max(1));
        if small * 2 > all {
            let (share, rows) = (small as f64 / all as f64 * 100.0, totals.rows as f64 / totals.calls as f64);
            let measured =
                format!("{share:.0} % of {all} batches have fewer than {SMALL_BATCH} rows; {rows:.1} on average");
            tell("SMALL_BATCHES", measured, "raise the caller's batch or chunk size: each batch has a fixed cost");
        }
        let failed = totals.errors as f64 / totals.calls as f64 * 100.0;
        if failed > 1.0 {
            let measured = format!("{failed:.1} % of batches failed");
            tell("ERRORS", measured, "see its errors; on_error=\"null\" keeps good rows of a batch with bad ones");
        }
    }
    if busy < WORTH {
        return all;
    }
    if split.queue > busy * 0.5 {
        let measured = format!("{} % of the time batches wait for an interpreter", percent(split.queue));
        tell("QUEUE", measured, "more interpreters for its environment, or another executor");
    }
    if split.convert > busy * 0.3 && split.convert > split.run && row.func_type == "general" {
        let measured = format!(
            "{} % of the time goes into Python values, {} % into the function",
            percent(split.convert),
            percent(split.run)
        );
        tell("CONVERT", measured, "func_type=\"arrow\" or \"pandas\" takes columns as they are");
    }
    if split.transfer > busy * 0.3 {
        let measured = format!("{} % of the time goes into sending batches to interpreters", percent(split.transfer));
        tell("TRANSFER", measured, "larger batches, or fewer and narrower columns");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Latency, Rates, TimeSplit, Totals};
    use super::*;

    fn row(totals: Totals, split: TimeSplit) -> FunctionRow {
        FunctionRow {
            function: "f@1".to_owned(),
            name: "f".to_owned(),
            version: 1,
            state: "READY".to_owned(),
            reason: String::new(),
            kind: "scalar".to_owned(),
            func_type: "general".to_owned(),
            environment: String::new(),
            ready_on: 1,
            placed_on: 1,
            rates: Rates::default(),
            latency: Latency::default(),
            split,
            totals,
        }
    }

    #[test]
    fn each_advice_has_its_numbers() {
        let batches = |small, large| {
            let of = |from, to, batches| BatchRows { from, to, batches };
            vec![of(2, 3, small), of(32, 63, large)]
        };
        let told = |row: &FunctionRow, batches: &[BatchRows]| {
            advise(row, batches).into_iter().map(|advice| advice.advice).collect::<Vec<_>>()
        };
        let codes = |row: &FunctionRow| told(row, &[]);
        let none = TimeSplit::default();
        let calls = |calls, rows, errors| Totals { calls, rows, errors, ..Totals::default() };
        assert!(told(&row(calls(99, 99, 99), none), &batches(99, 0)).is_empty(), "too few to say");
        assert_eq!(told(&row(calls(100, 300, 2), none), &batches(100, 0)), ["SMALL_BATCHES", "ERRORS"]);
        assert!(told(&row(calls(100, 300, 0), none), &batches(50, 50)).is_empty());
        let split = |queue, transfer, convert, run| TimeSplit { queue, transfer, convert, run };
        assert_eq!(codes(&row(Totals::default(), split(3.0, 0.1, 0.1, 1.0))), ["QUEUE"]);
        assert_eq!(codes(&row(Totals::default(), split(0.0, 1.0, 1.2, 0.5))), ["CONVERT", "TRANSFER"]);
        assert!(codes(&row(Totals::default(), split(0.03, 0.0, 0.0, 0.001))).is_empty(), "hardly anything runs");
        let small = advise(&row(calls(200, 1000, 0), none), &batches(184, 16));
        assert_eq!(small[0].measured, "92 % of 200 batches have fewer than 32 rows; 5.0 on average");
    }
}
