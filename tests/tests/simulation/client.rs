//! Clients that register and drop functions at any coordinator, and remember what they were told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use udfleet_coordinator::fleet::Events;
use udfleet_edge::clock;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{Environment, FunctionDefinition};

use super::coordinator::{Coordinator, REGISTRATION_TIMEOUT};
use super::world::World;

const NAMES: u64 = 4;
/// A client that has lost its connection learns no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Goes on for so long.
pub async fn work(world: Arc<World>, during: Duration) {
    let end = clock::now() + during;
    let mut number = 0;
    while clock::now() < end {
        clock::sleep(world.network.between("clients", 200, 1200)).await;
        let coordinator = world.network.roll("clients", world.coordinators() as u64) as usize;
        let Some(running) = world.coordinator(coordinator) else { continue };
        number += 1;
        if world.network.chance("clients", 75) {
            tokio::spawn(register(Arc::clone(&world), running, number));
        } else if let Some(function) = some_function(&world) {
            tokio::spawn(drop_function(Arc::clone(&world), running, function));
        }
    }
}

fn some_function(world: &World) -> Option<String> {
    let mut records = world.records.lock().unwrap();
    let all: Vec<String> = records.acknowledged.keys().cloned().collect();
    if all.is_empty() {
        return None;
    }
    let function = all[world.network.roll("clients", all.len() as u64) as usize].clone();
    // From now on it may be there or not.
    records.acknowledged.remove(&function);
    Some(function)
}

async fn register(world: Arc<World>, coordinator: Arc<Coordinator>, number: u32) {
    let definition = FunctionDefinition {
        name: format!("f{}", world.network.roll("clients", NAMES)),
        doc: format!("number {number}"),
        environment: Some(Environment { python: "3.11".to_owned(), ..Default::default() }),
        request_id: number.to_string(),
        ..Default::default()
    };
    let (name, crashed) = (definition.name.clone(), coordinator.crashed.clone());
    let events = Events(mpsc::channel(1).0);
    let answer =
        clock::timeout(ANSWER_WITHIN, coordinator.registrar.register(definition, REGISTRATION_TIMEOUT, &events));
    let answer = tokio::select! {
        biased;
        () = crashed.cancelled() => return,
        answer = answer => answer,
    };
    match answer {
        Ok(Ok(info)) => {
            let definition = info.definition.unwrap_or_default();
            let function = format!("{name}@{}", definition.version);
            world.trace.note(format!("registered: {function}, number {number}"));
            world.records.lock().unwrap().acknowledged.insert(function, definition.doc.into());
        }
        Ok(Err(error)) => world.trace.note(format!("number {number} ({name}) is refused: {error}")),
        Err(_) => world.trace.note(format!("number {number} ({name}) is not answered")),
    }
}

async fn drop_function(world: Arc<World>, coordinator: Arc<Coordinator>, function: String) {
    let which = FunctionRef::parse(&function).unwrap();
    let dropped = clock::timeout(ANSWER_WITHIN, coordinator.registry.drop_function(&which));
    let crashed = coordinator.crashed.clone();
    let dropped = tokio::select! {
        biased;
        () = crashed.cancelled() => return,
        dropped = dropped => dropped,
    };
    if let Ok(Ok(dropped)) = dropped {
        coordinator.fleet.show_catalog().await;
        world.trace.note(format!("dropped: {function} ({})", dropped.len()));
        world.records.lock().unwrap().dropped.extend(dropped.iter().map(|function| function.name.clone()));
    } else {
        world.trace.note(format!("dropping {function} is not answered"));
    }
}
