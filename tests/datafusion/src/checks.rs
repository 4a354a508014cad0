//! SQL with functions of a fleet against DataFusion's own.

use std::sync::Arc;

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Volatility;
use datafusion::prelude::SessionContext;

use crate::data;
use crate::fleet::Fleet;
use crate::fleet_udf::FleetUdf;

/// All checks.
pub const NAMES: [&str; 9] =
    ["results", "nulls", "places", "nested", "volatile", "constants", "batch-size", "errors", "refused"];

/// Why a check failed.
pub type Failure = Box<dyn std::error::Error>;

type Checked = std::result::Result<(), Failure>;

/// Fails the check with what was found.
macro_rules! expect {
    ($condition:expr, $($found:tt)+) => {
        if !$condition {
            return Err(format!("expected {}, found {}", stringify!($condition), format!($($found)+)).into());
        }
    };
}

async fn context(fleet: &Fleet, volatility: Volatility) -> Result<SessionContext> {
    let context = SessionContext::new();
    context.register_table("flights", Arc::new(data::flights()?))?;
    context.register_table("numbers", Arc::new(data::numbers()?))?;
    for name in ["delay_class", "speed", "route", "picky", "greeting"] {
        context.register_udf(FleetUdf::new(fleet, name, volatility).await?.into_scalar_udf());
    }
    Ok(context)
}

/// Rows as text, null as an empty one.
async fn rows(context: &SessionContext, sql: &str) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for batch in context.sql(sql).await?.collect().await? {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| array_value_to_string(column, row));
            rows.push(cells.collect::<std::result::Result<_, _>>()?);
        }
    }
    Ok(rows)
}

/// Both queries give the same rows, and some.
async fn same(context: &SessionContext, sql: &str, own: &str) -> Checked {
    let (got, expected) = (rows(context, sql).await?, rows(context, own).await?);
    expect!(!expected.is_empty() && got == expected, "{sql}: {got:?}, not {expected:?}");
    Ok(())
}

/// Functions of every func_type over all rows.
async fn results(context: &SessionContext) -> Checked {
    let differing = "select count(*), count(*) filter (where
            (class is distinct from (case when delay is null then 'cancelled' when delay <= 0 then 'on time'
                when delay < 30 then 'short' else 'long' end))
            or (mph is distinct from (distance / (air_time / 60)))
            or (way is distinct from (origin || '-' || dest)))
        from (select *, delay_class(delay) class, speed(distance, air_time) mph, route(origin, dest) way from flights)";
    let found = rows(context, differing).await?;
    expect!(found == [[data::FLIGHTS.to_string(), "0".to_owned()]], "{found:?}");
    Ok(())
}

async fn nulls(context: &SessionContext) -> Checked {
    let counted =
        "select count(*) - count(mph), count(*) - count(way), sum(case when class = 'cancelled' then 1 else 0 end)
        from (select delay_class(delay) class, speed(distance, air_time) mph, route(origin, dest) way from flights)";
    let own = "select count(*) - count(air_time), count(*) - count(origin), count(*) - count(delay) from flights";
    same(context, counted, own).await?;
    same(context, "select speed(100, null) a, route(null, 'x') b", "select null a, null b").await
}

/// Where a query may have a function: in its select list, and in conditions. Elsewhere a subquery helps.
async fn places(context: &SessionContext) -> Checked {
    let fast = "select count(*) from flights where speed(distance, air_time) > 400 and delay > 0";
    same(context, fast, "select count(*) from flights where distance / (air_time / 60) > 400 and delay > 0").await?;
    let joined = "select count(*) from flights join numbers on picky(n) = distance where n <> 5000";
    same(context, joined, "select count(*) from flights join numbers on n = distance where n <> 5000").await?;
    let aggregated = "select max(route(origin, dest)) from flights";
    same(context, aggregated, "select max(origin || '-' || dest) from flights").await?;
    let grouped = "select class, count(*) n, max(way) from
        (select delay_class(delay) class, route(origin, dest) way from flights) group by class order by class";
    let own = "select case when delay is null then 'cancelled' when delay <= 0 then 'on time'
        when delay < 30 then 'short' else 'long' end class, count(*) n, max(origin || '-' || dest)
        from flights group by 1 order by 1";
    same(context, grouped, own).await?;
    let sorted = "select dest, way from (select dest, route(origin, dest) way from flights) order by way, dest limit 3";
    same(context, sorted, "select dest, origin || '-' || dest way from flights order by way, dest limit 3").await?;
    let nothing = rows(context, "select speed(distance, air_time) from flights where distance < 0").await?;
    expect!(nothing.is_empty(), "{nothing:?}");
    Ok(())
}

/// A call on the result of another takes a table in between.
async fn nested(context: &SessionContext) -> Checked {
    context.sql("create table steps as select route(origin, 'x') step, origin, dest from flights").await?;
    let differing = "select count(*) from (select *, route(step, dest) way from steps)
        where way is distinct from origin || '-x-' || dest";
    let found = rows(context, differing).await?;
    expect!(found == [["0"]], "{found:?}");
    Ok(())
}

/// A volatile call stays where the query has it.
async fn volatile(fleet: &Fleet) -> Checked {
    let context = context(fleet, Volatility::Volatile).await?;
    let kept = "select count(*) from (select picky(n) p from numbers where n <> 5000) where p < 10";
    same(&context, kept, "select 10").await?;
    results(&context).await?;
    nulls(&context).await?;
    places(&context).await?;
    nested(&context).await?;
    constants(&context).await
}

async fn constants(context: &SessionContext) -> Checked {
    let sql = "select route('JFK', 'LAX'), greeting(), delay_class(null), picky(cast(3 as tinyint)), speed(60, 60)";
    same(context, sql, "select 'JFK-LAX', 'hello', 'cancelled', 3, 60.0").await?;
    same(context, "select count(*) from numbers where greeting() = 'hello'", "select count(*) from numbers").await
}

fn told(error: &DataFusionError) -> Option<&tonic::Status> {
    match error.find_root() {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

/// What the function raised, as the fleet's status: function, row of the call, message.
async fn raised(context: &SessionContext, row: usize) -> Checked {
    let Err(error) = rows(context, "select sum(picky(n)) from numbers").await else {
        return Err("expected an error of the function, found none".into());
    };
    let status = told(&error).ok_or_else(|| format!("expected a status, found {error:?}"))?;
    let text = format!("picky@1: row {row}: ValueError: 5000 is one too many");
    expect!(status.message().contains(&text), "{status:?}");
    Ok(())
}

async fn errors(context: &SessionContext) -> Checked {
    raised(context, 5_000).await?;
    same(context, "select sum(picky(n)) from numbers where n <> 5000", "select sum(n) - 5000 from numbers").await
}

/// The row of the error shows how many rows the call had.
async fn batch_size(fleet: &Fleet, context: &SessionContext) -> Checked {
    let small = FleetUdf::new(fleet, "picky@1", Volatility::Immutable).await?.with_batch_size(1_500);
    context.register_udf(small.into_scalar_udf());
    raised(context, 5_000 % 1_500).await?;
    same(
        context,
        "select sum(p * n) from (select n, picky(n) p from numbers where n > 5000)",
        "select sum(n * n) from numbers where n > 5000",
    )
    .await
}

async fn refused(fleet: &Fleet, context: &SessionContext) -> Checked {
    for (name, why) in [
        ("letters", "letters is no scalar function"),
        ("total", "total is no scalar function"),
        ("anything", "anything is registered without the types of its arguments"),
        ("delay_clas", "delay_class"),
    ] {
        let Err(error) = FleetUdf::new(fleet, name, Volatility::Immutable).await else {
            return Err(format!("{name} was taken").into());
        };
        let text = told(&error).map_or_else(|| error.to_string(), |status| status.message().to_owned());
        expect!(text.contains(why), "{name}: {text}");
    }
    for call in ["picky(1, 2)", "picky()", "picky('x')", "greeting(1)"] {
        let Err(error) = rows(context, &format!("select {call}")).await else {
            return Err(format!("{call} was taken").into());
        };
        expect!(error.to_string().contains("Error during planning"), "{call}: {error}");
    }
    Ok(())
}

/// One check on the functions of `python-sdk/tests/engines/flight_functions.py`.
pub async fn run(fleet: &Fleet, check: &str) -> Checked {
    let context = context(fleet, Volatility::Immutable).await?;
    match check {
        "results" => results(&context).await,
        "nulls" => nulls(&context).await,
        "places" => places(&context).await,
        "nested" => nested(&context).await,
        "volatile" => volatile(fleet).await,
        "constants" => constants(&context).await,
        "batch-size" => batch_size(fleet, &context).await,
        "errors" => errors(&context).await,
        "refused" => refused(fleet, &context).await,
        other => Err(format!("no check {other:?}").into()),
    }
}
