//! Whatever happens to a stream, its client gets each answer once and in order, or one error for a reason.

use proptest::prelude::*;

use super::simulation::{Scenario, Simulation, Step};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (prop::bool::weighted(0.1), any::<bool>()).prop_map(|(large, dictionary)| Step::Send { large, dictionary }),
        24 => (0usize..8, prop::bool::weighted(0.2)).prop_map(|(upstream, large)| Step::Answer { upstream, large }),
        3 => (0usize..8).prop_map(|upstream| Step::Lose { upstream }),
        3 => (0usize..8, any::<bool>()).prop_map(|(upstream, busy)| Step::Refuse { upstream, busy }),
        1 => (0usize..8).prop_map(|upstream| Step::Hang { upstream }),
        1 => (0usize..8).prop_map(|index| Step::ReportFree { index }),
        1 => (0usize..8).prop_map(|upstream| Step::Raise { upstream }),
        3 => Just(Step::AddExecutor),
        1 => Just(Step::DropFunction),
        2 => (0usize..8).prop_map(|index| Step::RemoveExecutor { index }),
        4 => (0u64..400).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => Just(Step::EndInput),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let kind = prop_oneof![
        4 => Just((false, false, false)),
        1 => Just((true, false, false)),
        2 => Just((false, true, false)),
        2 => Just((false, false, true)),
        1 => Just((true, false, true)),
    ];
    let steps = prop::collection::vec(step(), 0..160);
    (1usize..4, 1u64..4, kind, any::<bool>(), 1u32..5, any::<u64>(), steps).prop_map(
        |(executors, parts, (aggregates, dictionaries, from_stage), deterministic, max_attempts, seed, steps)| {
            Scenario {
                executors,
                parts,
                aggregates,
                dictionaries,
                from_stage,
                deterministic,
                max_attempts,
                seed,
                steps,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_batch_is_answered_once_and_in_order_or_the_stream_fails_for_a_reason(scenario in scenario()) {
        Simulation::new(scenario).run();
    }
}

#[test]
fn long_calls_everywhere_may_last_as_long_as_they_like() {
    let mut steps = vec![Step::Send { large: false, dictionary: false }];
    for _ in 0..30 {
        steps.extend([Step::Wait { milliseconds: 1000 }, Step::Refuse { upstream: 0, busy: true }]);
    }
    let scenario = Scenario {
        executors: 2,
        parts: 1,
        aggregates: false,
        dictionaries: false,
        from_stage: false,
        deterministic: false,
        max_attempts: 1,
        seed: 0,
        steps,
    };
    Simulation::new(scenario).run();
}

fn two_executors(steps: Vec<Step>) -> Scenario {
    Scenario {
        executors: 2,
        parts: 2,
        aggregates: false,
        dictionaries: false,
        from_stage: false,
        deterministic: true,
        max_attempts: 2,
        seed: 5,
        steps,
    }
}

#[test]
fn what_a_hanging_executor_has_goes_to_another() {
    let mut steps = vec![Step::Send { large: false, dictionary: false }; 6];
    steps.push(Step::Hang { upstream: 0 });
    Simulation::new(two_executors(steps)).run();
}

#[test]
fn an_executor_that_says_how_the_stream_stands_may_take_its_time() {
    let mut steps = vec![Step::Send { large: false, dictionary: false }; 6];
    steps.extend(vec![Step::Wait { milliseconds: 400 }; 100]);
    Simulation::new(two_executors(steps)).run();
}

#[test]
fn an_executor_of_a_version_that_does_not_say_it_may_take_its_time_too() {
    let mut steps = vec![Step::JoinOlder, Step::AddExecutor];
    steps.extend(vec![Step::RemoveExecutor { index: 0 }; 2]);
    steps.extend(vec![Step::Send { large: false, dictionary: false }; 6]);
    steps.extend(vec![Step::Wait { milliseconds: 400 }; 100]);
    Simulation::new(two_executors(steps)).run();
}

#[test]
fn the_core_knows_no_sockets_and_no_runtime() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/router/core");
    let mut files = vec![folder];
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(std::fs::read_dir(file).unwrap().map(|file| file.unwrap().path()));
            continue;
        }
        // All but this one, which names them.
        if file.ends_with("core/properties.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let used = ["tokio", "tonic", "futures"].into_iter().find(|name| text.contains(&format!("{name}::")));
        assert_eq!(used, None, "{}", file.display());
    }
}
