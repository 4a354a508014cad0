//! Whatever happens to a stream whose groups are spread, its client gets each group once and whole, or one error for a
//! reason.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{KeyedScenario, KeyedSimulation, KeyedStep};

fn keys() -> impl Strategy<Value = Vec<Option<i64>>> {
    prop::collection::vec(prop::option::weighted(0.9, 0i64..12), 0..10)
}

fn step() -> impl Strategy<Value = KeyedStep> {
    prop_oneof![
        20 => keys().prop_map(KeyedStep::Send),
        24 => (0usize..8).prop_map(KeyedStep::Answer),
        1 => (0usize..8).prop_map(KeyedStep::Lose),
        1 => (0usize..8).prop_map(KeyedStep::Refuse),
        1 => (0usize..8).prop_map(KeyedStep::Raise),
        2 => (1u32..3).prop_map(KeyedStep::AddExecutor),
        2 => (0usize..8).prop_map(KeyedStep::RemoveExecutor),
        3 => (0u64..400).prop_map(KeyedStep::Wait),
    ]
}

fn scenario() -> impl Strategy<Value = KeyedScenario> {
    let interpreters = prop::collection::vec(1u32..4, 1..4);
    let steps = prop::collection::vec(step(), 0..120);
    (interpreters, any::<bool>(), any::<bool>(), 1u32..5, any::<u64>(), steps).prop_map(
        |(interpreters, from_stage, numbered, max_attempts, seed, steps)| KeyedScenario {
            interpreters,
            from_stage,
            numbered,
            max_attempts,
            seed,
            steps,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_key_is_aggregated_once_with_all_of_its_rows_or_the_stream_fails_for_a_reason(scenario in scenario()) {
        KeyedSimulation::new(scenario).run();
    }
}

fn calm(interpreters: Vec<u32>, batches: Vec<Vec<Option<i64>>>) -> KeyedSimulation {
    let steps = batches.into_iter().map(KeyedStep::Send).collect();
    KeyedSimulation::new(KeyedScenario {
        interpreters,
        from_stage: false,
        numbered: true,
        max_attempts: 1,
        seed: 1,
        steps,
    })
}

#[test]
fn partitions_are_shared_out_by_interpreters() {
    let mut simulation = calm(vec![1, 3], vec![(0..100).map(Some).collect()]);
    simulation.step(KeyedStep::Send((0..100).map(Some).collect()));
    let mut held = BTreeMap::<&str, usize>::new();
    simulation.peers.values().for_each(|peer| *held.entry(&peer.executor).or_default() += 1);
    assert_eq!(held.into_values().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn few_keys_and_no_rows_take_one_exchange() {
    for keys in [vec![], vec![Some(1); 5]] {
        let mut simulation = calm(vec![2, 2], vec![]);
        simulation.step(KeyedStep::Send(keys));
        assert_eq!(simulation.peers.len(), 1, "that which the schema went to");
        simulation.settle();
    }
    calm(vec![2, 2], vec![]).settle();
}

#[test]
fn an_error_names_the_row_of_the_clients_batch() {
    let mut simulation = calm(vec![2, 2], vec![]);
    simulation.step(KeyedStep::Send((0..50).map(Some).collect()));
    for _ in 0..8 {
        simulation.step(KeyedStep::Answer(0));
    }
    simulation.step(KeyedStep::Send((0..50).map(Some).collect()));
    simulation.step(KeyedStep::Raise(1));
    simulation.settle();
    let error = simulation.error.unwrap();
    let number: u64 = error.info().message.parse().unwrap();
    assert_eq!((error.info().row, error.info().sequence), (Some(number % 50), Some(number / 50)));
}
