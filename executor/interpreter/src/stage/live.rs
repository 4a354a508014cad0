//! Liveness of registers: those that no later step reads are dropped.

use super::{Aggregation, Invocation, Segment, SegmentEndKind, Source, StepKind};

/// Notes for each step which registers later steps read.
pub fn mark(segments: &mut [Segment], results: &[Source]) {
    let mut needed = Vec::new();
    for source in results {
        if let Source::Register(index) = source {
            need(&mut needed, *index);
        }
    }
    for segment in segments.iter_mut().rev() {
        if let Some(end) = &mut segment.end {
            end.live.clone_from(&needed);
            match &end.kind {
                SegmentEndKind::Unnest { call, .. } => need_call(&mut needed, call),
                SegmentEndKind::Aggregate(aggregation) => {
                    // It replaces all registers.
                    needed.clear();
                    need_aggregation(&mut needed, aggregation);
                }
            }
        }
        for step in segment.steps.iter_mut().rev() {
            step.live.clone_from(&needed);
            match &step.kind {
                StepKind::Literal(_) => {}
                StepKind::Compute { operands, .. } => operands.iter().for_each(|index| need(&mut needed, *index)),
                StepKind::Invoke(call) => need_call(&mut needed, call),
                StepKind::Filter(index) | StepKind::Flatten(index) => need(&mut needed, *index),
            }
        }
    }
}

fn need(needed: &mut Vec<bool>, index: usize) {
    if needed.len() <= index {
        needed.resize(index + 1, false);
    }
    needed[index] = true;
}

fn need_call(needed: &mut Vec<bool>, call: &Invocation) {
    call.arguments.iter().for_each(|index| need(needed, *index));
}

fn need_aggregation(needed: &mut Vec<bool>, aggregation: &Aggregation) {
    aggregation.keys.iter().for_each(|index| need(needed, *index));
    for aggregate in &aggregation.aggregates {
        need_call(needed, &aggregate.call);
        if let Some(index) = aggregate.filter {
            need(needed, index);
        }
    }
}
