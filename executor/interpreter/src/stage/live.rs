//! Which registers anything behind a step still reads: the others need not be carried along.

use super::{BreakerKind, Gather, Invocation, Segment, Source, StepKind};

/// Notes for each step what is read behind it.
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
                BreakerKind::Explode { call, .. } => need_call(&mut needed, call),
                BreakerKind::Gather(gather) => {
                    // Registers start anew behind it.
                    needed.clear();
                    need_gather(&mut needed, gather);
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

fn need_gather(needed: &mut Vec<bool>, gather: &Gather) {
    gather.keys.iter().for_each(|index| need(needed, *index));
    for aggregate in &gather.aggregates {
        need_call(needed, &aggregate.call);
        if let Some(index) = aggregate.filter {
            need(needed, index);
        }
    }
}
