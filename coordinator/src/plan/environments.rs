//! The order in which calls of several environments run, so that the environment changes as rarely as possible.

use std::collections::BTreeSet;

use super::graph::{Graph, NodeId};

/// How many orders are tried before the next best is taken.
const TRIES: usize = 20_000;

/// A call and its environment.
type Call<'a> = (NodeId, &'a str);

struct Search<'a> {
    calls: Vec<Call<'a>>,
    /// For each call, the positions of the calls that come before it.
    before: Vec<Vec<usize>>,
    last: Option<&'a str>,
    tries: usize,
}

/// The calls in order; `last` is where the work ends. `environment` runs now, and becomes the one that runs then.
pub(super) fn order<'a>(
    graph: &Graph,
    calls: &[Call<'a>],
    last: Option<&'a str>,
    environment: &mut Option<String>,
) -> Vec<NodeId> {
    let closures: Vec<BTreeSet<NodeId>> = calls.iter().map(|(id, _)| graph.closure([*id])).collect();
    let needs = |closure: &BTreeSet<NodeId>, own: usize| {
        (0..calls.len()).filter(|other| *other != own && closure.contains(&calls[*other].0)).collect()
    };
    let before = closures.iter().enumerate().map(|(own, closure)| needs(closure, own)).collect();
    let mut search = Search { calls: calls.to_vec(), before, last, tries: 0 };
    let start = environment.clone();
    let mut done = vec![false; calls.len()];
    let mut first = Vec::new();
    search.run(start.as_deref(), &mut done, &mut first);
    let rest = search.best(start.as_deref(), &done);
    let turns: Vec<usize> = first.into_iter().chain(rest).collect();
    if let Some(end) = last.or_else(|| turns.last().map(|position| calls[*position].1)) {
        *environment = Some(end.to_owned());
    }
    turns.into_iter().map(|position| calls[position].0).collect()
}

impl<'a> Search<'a> {
    /// Runs all that the environment can run now.
    fn run(&self, environment: Option<&str>, done: &mut [bool], turns: &mut Vec<usize>) {
        // Operands have smaller numbers: one pass in order finds chains too.
        for position in 0..self.calls.len() {
            let ready = !done[position] && self.before[position].iter().all(|other| done[*other]);
            if ready && Some(self.calls[position].1) == environment {
                done[position] = true;
                turns.push(position);
            }
        }
    }

    /// Environments that could run something now.
    fn candidates(&self, done: &[bool]) -> BTreeSet<&'a str> {
        let ready = |position: &usize| !done[*position] && self.before[*position].iter().all(|other| done[*other]);
        (0..self.calls.len()).filter(ready).map(|position| self.calls[position].1).collect()
    }

    /// Tries with ever more changes.
    fn best(&mut self, environment: Option<&'a str>, done: &[bool]) -> Vec<usize> {
        for changes in 0..=self.calls.len() {
            if let Some(turns) = self.within(changes, environment, done) {
                return turns;
            }
            if self.tries > TRIES {
                break;
            }
        }
        self.greedy(done)
    }

    fn within(&mut self, changes: usize, environment: Option<&str>, done: &[bool]) -> Option<Vec<usize>> {
        self.tries += 1;
        let candidates = self.candidates(done);
        if candidates.is_empty() {
            let ends_well = self.last.is_none() || environment.is_none() || environment == self.last;
            return (ends_well || changes > 0).then(Vec::new);
        }
        let free = environment.is_none();
        if self.tries > TRIES || (changes == 0 && !free) {
            return None;
        }
        for candidate in candidates {
            let (mut next, mut turns) = (done.to_vec(), Vec::new());
            self.run(Some(candidate), &mut next, &mut turns);
            let left = if free { changes } else { changes - 1 };
            if let Some(rest) = self.within(left, Some(candidate), &next) {
                turns.extend(rest);
                return Some(turns);
            }
        }
        None
    }

    /// Always the environment that can run most.
    fn greedy(&self, done: &[bool]) -> Vec<usize> {
        let (mut done, mut turns) = (done.to_vec(), Vec::new());
        loop {
            let candidates = self.candidates(&done);
            let runs = |candidate: &&&str| {
                let (mut done, mut turns) = (done.clone(), Vec::new());
                self.run(Some(candidate), &mut done, &mut turns);
                turns.len()
            };
            let Some(best) = candidates.iter().max_by_key(runs).copied() else { return turns };
            self.run(Some(best), &mut done, &mut turns);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::TypeRoot;

    use super::super::graph::{Invoke, Kind, Traits};
    use super::*;

    const NAMES: [&str; 4] = ["A", "B", "C", "D"];

    /// Calls with an environment each and the earlier calls that they need.
    fn graph(calls: &[(usize, Vec<usize>)]) -> (Graph, Vec<Call<'static>>) {
        let (mut graph, mut all) = (Graph::default(), Vec::new());
        for (index, (environment, needs)) in calls.iter().enumerate() {
            let arguments = needs.iter().map(|need| all[*need]).map(|(id, _): Call<'_>| id).collect();
            let kind = Kind::Invoke(Invoke { function: index, arguments, row: Vec::new() });
            let traits = Traits { deterministic: true, fallible: true };
            all.push((graph.add(kind, simple(TypeRoot::Int), "", 0, traits), NAMES[*environment]));
        }
        (graph, all)
    }

    fn changes(calls: &[Call<'_>], turns: &[NodeId], start: Option<&str>, last: Option<&str>) -> usize {
        let of = |id: &NodeId| calls.iter().find(|(call, _)| call == id).unwrap().1;
        let all: Vec<&str> = start.into_iter().chain(turns.iter().map(of)).chain(last).collect();
        all.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn the_better_order_is_found() {
        // A, then B, then A again would be three turns; the lone A goes with the other.
        let (graph, calls) = graph(&[(0, vec![]), (1, vec![]), (0, vec![1])]);
        let mut environment = None;
        let turns = order(&graph, &calls, None, &mut environment);
        assert_eq!((turns, environment.as_deref()), (vec![calls[1].0, calls[0].0, calls[2].0], Some("A")));
        let mut environment = Some("A".to_owned());
        let turns = order(&graph, &calls[..2], Some("A"), &mut environment);
        assert_eq!((turns, environment.as_deref()), (vec![calls[0].0, calls[1].0], Some("A")));
    }

    fn any_calls() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
        let call = (0usize..3, prop::collection::vec(any::<prop::sample::Index>(), 0..3));
        prop::collection::vec(call, 1..7).prop_map(|calls| {
            let needs = |index: usize, needs: Vec<prop::sample::Index>| {
                if index == 0 { Vec::new() } else { needs.iter().map(|need| need.index(index)).collect() }
            };
            calls.into_iter().enumerate().map(|(i, (environment, n))| (environment, needs(i, n))).collect()
        })
    }

    /// The fewest changes over every order that is allowed.
    fn fewest(calls: &[(usize, Vec<usize>)], done: &mut Vec<usize>, current: Option<usize>) -> usize {
        if done.len() == calls.len() {
            return 0;
        }
        let ready: Vec<usize> = (0..calls.len())
            .filter(|i| !done.contains(i) && calls[*i].1.iter().all(|need| done.contains(need)))
            .collect();
        let mut best = usize::MAX;
        for next in ready {
            done.push(next);
            let cost = usize::from(current.is_some_and(|c| c != calls[next].0));
            best = best.min(cost + fewest(calls, done, Some(calls[next].0)));
            done.pop();
        }
        best
    }

    proptest! {
        #[test]
        fn every_call_runs_after_what_it_needs_with_the_fewest_changes(given in any_calls()) {
            let (graph, calls) = graph(&given);
            // Equal calls are one node.
            let mut unique = calls.clone();
            unique.dedup();
            prop_assume!(unique.len() == calls.len());
            let turns = order(&graph, &calls, None, &mut None);
            prop_assert_eq!(turns.len(), calls.len());
            for (position, (_, needs)) in given.iter().enumerate() {
                let at = |id: NodeId| turns.iter().position(|turn| *turn == id).unwrap();
                for need in needs {
                    prop_assert!(at(calls[*need].0) < at(calls[position].0));
                }
            }
            prop_assert_eq!(changes(&calls, &turns, None, None), fewest(&given, &mut Vec::new(), None));
        }
    }
}
