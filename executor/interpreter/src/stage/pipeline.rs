//! Runs a stage. Rows are pulled through it, so that only what the next part of the output needs is computed.

use std::rc::Rc;

use arrow_array::{Array, ArrayRef};
use arrow_select::concat::concat;
use pyo3::prelude::*;
use udfleet_proto::error::Error;
use udfleet_proto::v1::OnError;

use super::aggregate::{Aggregator, Results};
use super::chunk::Chunk;
use super::context::Context;
use super::unnest::{PART_BYTES, Pace, UnnestCall, Unnesting};
use super::{SegmentEnd, SegmentEndKind, Source, Stage, steps};
use crate::function::Function;
use crate::functions::Functions;
use crate::keyed::KeyedRun;

/// Where rows come from.
pub enum Input {
    Rows(Option<Chunk>),
    Groups(Box<Results>),
}

/// Rows of the output.
pub struct OutputRows {
    pub columns: Vec<ArrayRef>,
    pub rows: usize,
}

impl OutputRows {
    fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
    }
}

/// The state of a segment's end.
enum Level {
    Unnest { active: Option<Unnesting>, pace: Pace },
    Partial { done: Option<Box<Results>> },
}

/// A run of a stage, or of the part of it before or after its pipeline breaker.
pub struct Pipeline {
    stage: Rc<Stage>,
    slots: Vec<Rc<Function>>,
    input: Input,
    /// The segment that the input goes into.
    first: usize,
    /// Level `i` stands in front of segment `first + i + 1`.
    levels: Vec<Level>,
    /// Made already, but too large for the part before.
    pending: Option<OutputRows>,
    pub on_error: OnError,
    /// The bundle that its rows are, of a keyed function.
    pub keyed: Option<KeyedRun>,
}

impl Pipeline {
    /// From segment `first` to `last`.
    pub fn new(
        stage: Rc<Stage>,
        functions: &Functions,
        input: Input,
        first: usize,
        last: usize,
        on_error: OnError,
    ) -> Result<Self, Error> {
        let slots = functions.all(&stage.functions)?;
        let level = |end: &SegmentEnd| match end.kind {
            SegmentEndKind::Unnest { .. } => Level::Unnest { active: None, pace: Pace::default() },
            SegmentEndKind::Aggregate(_) => Level::Partial { done: None },
        };
        let ends = stage.segments.iter().take(last).skip(first).filter_map(|segment| segment.end.as_ref());
        let levels = ends.map(level).collect();
        Ok(Self { stage, slots, input, first, levels, pending: None, on_error, keyed: None })
    }

    /// A whole stage without pipeline breaker, over a chunk.
    pub fn whole(stage: Rc<Stage>, functions: &Functions, chunk: Chunk, on_error: OnError) -> Result<Self, Error> {
        let last = stage.segments.len() - 1;
        Self::new(stage, functions, Input::Rows(Some(chunk)), 0, last, on_error)
    }

    /// The functions, by slot.
    pub fn slots(&self) -> &[Rc<Function>] {
        &self.slots
    }

    /// The stage.
    pub fn stage(&self) -> &Rc<Stage> {
        &self.stage
    }

    /// The rows of the last segment, chunk by chunk.
    pub fn pull(&mut self, context: &mut Context<'_, '_>) -> Result<Option<Chunk>, Error> {
        self.pull_level(context, self.levels.len())
    }

    fn pull_level(&mut self, context: &mut Context<'_, '_>, level: usize) -> Result<Option<Chunk>, Error> {
        let Some(before) = level.checked_sub(1) else {
            let chunk = match &mut self.input {
                Input::Rows(chunk) => chunk.take(),
                Input::Groups(results) => results.next(context)?,
            };
            return chunk.map(|chunk| self.steps(context, 0, chunk)).transpose();
        };
        let chunk = match self.levels.get(before) {
            Some(Level::Partial { .. }) => self.partial(context, before)?,
            _ => self.unnest(context, before)?,
        };
        chunk.map(|chunk| self.steps(context, level, chunk)).transpose()
    }

    fn steps(&self, context: &mut Context<'_, '_>, level: usize, chunk: Chunk) -> Result<Chunk, Error> {
        match self.stage.segments.get(self.first + level) {
            Some(segment) => steps::run(context, &self.slots, &segment.steps, chunk),
            None => Ok(chunk),
        }
    }

    fn unnest(&mut self, context: &mut Context<'_, '_>, level: usize) -> Result<Option<Chunk>, Error> {
        let stage = Rc::clone(&self.stage);
        let end = stage.segments.get(self.first + level).and_then(|segment| segment.end.as_ref());
        let Some(SegmentEnd { text, kind: SegmentEndKind::Unnest { call, outer }, live }) = end else {
            return Err(Error::internal("a stage without that table function"));
        };
        let function =
            self.slots.get(call.slot).cloned().ok_or_else(|| Error::internal("a stage without that slot"))?;
        let of = UnnestCall { function: &function, call, outer: *outer, live, text };
        loop {
            if let Some(Level::Unnest { active: Some(active), pace }) = self.levels.get_mut(level)
                && let Some(chunk) = active.next(context, &of, pace)?
            {
                if chunk.rows == 0 {
                    continue;
                }
                return Ok(Some(chunk));
            }
            let Some(input) = self.pull_level(context, level)? else { return Ok(None) };
            if input.rows == 0 {
                continue;
            }
            let started = Unnesting::start(context, &of, input)?;
            if let Some(Level::Unnest { active, .. }) = self.levels.get_mut(level) {
                *active = Some(started);
            }
        }
    }

    /// Partial aggregates of all rows of the level before, once.
    fn partial(&mut self, context: &mut Context<'_, '_>, level: usize) -> Result<Option<Chunk>, Error> {
        let stage = Rc::clone(&self.stage);
        let segment = self.first + level;
        if let Some(Level::Partial { done: None }) = self.levels.get(level) {
            let mut aggregator = Aggregator::new(&stage, segment, &self.slots)?;
            while let Some(chunk) = self.pull_level(context, level)? {
                aggregator.feed(context, &chunk)?;
            }
            if let Some(Level::Partial { done }) = self.levels.get_mut(level) {
                *done = Some(Box::new(aggregator.results()));
            }
        }
        match self.levels.get_mut(level) {
            Some(Level::Partial { done: Some(results) }) => results.next(context),
            _ => Ok(None),
        }
    }

    /// True when nothing is left, as far as can be told without running anything.
    fn is_done(&self) -> bool {
        let input = match &self.input {
            Input::Rows(chunk) => chunk.is_none(),
            Input::Groups(results) => results.is_done(),
        };
        let level = |level: &Level| match level {
            Level::Unnest { active, .. } => active.as_ref().is_none_or(Unnesting::is_done),
            Level::Partial { done } => done.as_ref().is_some_and(|results| results.is_done()),
        };
        input && self.pending.is_none() && self.levels.iter().all(level)
    }

    /// The next part of the output, and whether there are more.
    pub fn next_part(&mut self, context: &mut Context<'_, '_>) -> Result<(OutputRows, bool), Error> {
        if let Some(bundle) = &self.keyed {
            bundle.resume(context.py)?;
        }
        let mut parts: Vec<OutputRows> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        while parts.is_empty() || (rows < self.stage.max_rows && bytes < PART_BYTES) {
            let part = match self.pending.take() {
                Some(part) => part,
                None => match self.pull(context)? {
                    Some(chunk) => self.output(&chunk)?,
                    None => break,
                },
            };
            if part.rows == 0 && !parts.is_empty() {
                continue;
            }
            if !parts.is_empty() && rows + part.rows > self.stage.max_rows {
                self.pending = Some(part);
                break;
            }
            rows += part.rows;
            bytes += part.bytes();
            parts.push(part);
        }
        Ok((self.join(parts)?, !self.is_done()))
    }

    /// The columns of the output.
    fn output(&self, chunk: &Chunk) -> Result<OutputRows, Error> {
        let encoder = self.stage.encoder.borrow();
        let fields = encoder.schema().fields().iter();
        let column = |(source, field): (&Source, &arrow_schema::FieldRef)| {
            let column = match source {
                Source::Register(index) => chunk.register(*index)?.column(chunk.rows)?,
                Source::Row => chunk.origin.column(chunk.rows),
            };
            udfleet_kernels::cast_array(&column, field.data_type())
        };
        let columns = self.stage.results.iter().zip(fields).map(column).collect::<Result<_, _>>()?;
        Ok(OutputRows { columns, rows: chunk.rows })
    }

    fn join(&self, mut parts: Vec<OutputRows>) -> Result<OutputRows, Error> {
        if parts.len() == 1 {
            return parts.pop().ok_or_else(|| Error::internal("no part"));
        }
        let encoder = self.stage.encoder.borrow();
        let fields = encoder.schema().fields().iter().enumerate();
        let column = |(index, field): (usize, &arrow_schema::FieldRef)| {
            let pieces: Vec<&dyn Array> = parts.iter().map(|part| part.columns[index].as_ref()).collect();
            if pieces.is_empty() {
                return Ok(arrow_array::new_empty_array(field.data_type()));
            }
            concat(&pieces).map_err(|e| Error::internal(format!("joining rows: {e}")))
        };
        let columns = fields.map(column).collect::<Result<_, _>>()?;
        Ok(OutputRows { columns, rows: parts.iter().map(|part| part.rows).sum() })
    }

    /// Closes generators that still run.
    pub fn close(&mut self, py: Python<'_>) {
        if let Some(bundle) = &self.keyed {
            // What generators do while they are closed is done with their own state, unless it is forgotten already.
            let _ = bundle.resume(py);
        }
        for level in self.levels.iter_mut().rev() {
            if let Level::Unnest { active: Some(active), .. } = level {
                active.close(py);
            }
        }
        if let Some(bundle) = self.keyed.take() {
            bundle.discard(py);
        }
    }
}
