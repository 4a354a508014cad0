//! Stages: the part of a plan that one interpreter call runs, as steps over registers. See stage.proto.

mod aggregate;
mod cache;
mod chunk;
mod context;
mod decode;
mod live;
mod pipeline;
mod plain;
mod steps;
mod table_rows;
mod unnest;

use std::cell::RefCell;

use udfleet_kernels::Value;
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, aggregation::Phase};

use udfleet_proto::error::Error;
use udfleet_proto::v1::StageSpec;

pub use aggregate::AggregationSession;
pub use cache::Stages;
pub use chunk::Chunk;
pub use context::Context;
pub use pipeline::Pipeline;

use crate::arguments::Declared;
use crate::encode::Encoder;
use crate::function::Function;
use crate::functions::Functions;

/// A stage, ready to run.
pub struct Stage {
    /// Numbers of the functions, by slot.
    pub functions: Vec<u32>,
    /// `None` accepts any columns.
    pub inputs: Option<Vec<Declared>>,
    segments: Vec<Segment>,
    results: Vec<Source>,
    pub encoder: RefCell<Encoder>,
    /// The segment whose end is a pipeline breaker: an aggregation over the whole input.
    pipeline_breaker: Option<usize>,
    /// The most rows of one part of the output.
    max_rows: usize,
}

impl Stage {
    /// As a spec describes it.
    pub fn decode(spec: &StageSpec, functions: &Functions) -> Result<Self, Error> {
        decode::decode(spec, functions)
    }

    /// Of a table or aggregate function that is called by itself, with so many columns.
    pub fn plain(function: &Function, columns: usize) -> Result<Self, Error> {
        plain::plain_stage(function, columns)
    }

    /// True where the output may come in several parts, so that the input must outlive its command.
    pub fn may_park(&self) -> bool {
        self.segments.iter().any(|segment| segment.end.is_some())
    }

    /// True where nothing comes out before the whole input has been aggregated.
    pub fn is_pipeline_breaker(&self) -> bool {
        self.pipeline_breaker.is_some()
    }
}

/// Where a column of the output comes from.
enum Source {
    Register(usize),
    /// The row of the input batch.
    Row,
}

/// Steps that keep or drop rows, and what ends them.
struct Segment {
    steps: Vec<Step>,
    end: Option<SegmentEnd>,
}

struct Step {
    text: String,
    kind: StepKind,
    /// Registers that a later step reads.
    live: Vec<bool>,
}

enum StepKind {
    Literal(Value),
    Compute { operator: Operator, operands: Vec<usize>, result: DataType, field: u32 },
    Invoke(Invocation),
    Filter(usize),
    Flatten(usize),
}

/// A call of the function in a slot.
pub struct Invocation {
    slot: usize,
    arguments: Vec<usize>,
    /// The arguments are fields of one row, with these names.
    row: Vec<String>,
}

/// What replaces rows by others: between two segments.
struct SegmentEnd {
    text: String,
    kind: SegmentEndKind,
    live: Vec<bool>,
}

enum SegmentEndKind {
    Unnest { call: Invocation, outer: bool },
    Aggregate(Aggregation),
}

struct Aggregation {
    keys: Vec<usize>,
    key_types: Vec<DataType>,
    aggregates: Vec<Aggregate>,
    phase: Phase,
}

struct Aggregate {
    call: Invocation,
    /// A built-in one, with the type of its result: then the call has no function.
    builtin: Option<(Builtin, DataType)>,
    /// The expression, for errors.
    text: String,
    /// Of the arguments, for groups without rows.
    types: Vec<DataType>,
    distinct: bool,
    filter: Option<usize>,
}
