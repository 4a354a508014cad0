//! What must hold once nothing has gone wrong for a while.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use udfleet_proto::v1::ExecutorState;

use super::coordinator::Coordinator;
use super::world::World;

type Outcome = Result<(), String>;

/// What does not hold yet.
pub fn check(world: &World) -> Outcome {
    let running: Vec<_> = (0..world.coordinators()).filter_map(|number| world.coordinator(number)).collect();
    if running.len() < world.coordinators() {
        return Err("a coordinator is down".to_owned());
    }
    let term = one_leads(world, &running)?;
    let catalog = catalogs_agree(world, &running)?;
    registrations_are_kept(world, &catalog)?;
    for id in world.executor_ids() {
        executor_is_attached(world, &running, &id)?;
    }
    executors_hold(world, &running, &catalog, term)
}

fn one_leads(world: &World, running: &[std::sync::Arc<Coordinator>]) -> Result<u64, String> {
    let terms: Vec<u64> = running.iter().filter_map(|c| c.session.standing().role.term()).collect();
    let stored = world.store.lock().unwrap().term();
    match terms[..] {
        [term] if stored == Some(term) => Ok(term),
        _ => Err(format!("leaders of terms {terms:?}, the store holds {stored:?}")),
    }
}

/// By `add@3`, with what was registered.
fn catalogs_agree(world: &World, running: &[std::sync::Arc<Coordinator>]) -> Result<BTreeMap<String, Bytes>, String> {
    let catalog = |coordinator: &Coordinator| -> BTreeMap<String, Bytes> {
        let catalog = coordinator.registry.catalog();
        catalog.iter().map(|f| (f.name.clone(), Bytes::from(f.definition.doc.clone()))).collect()
    };
    let first = catalog(&running[0]);
    if let Some(other) = running.iter().find(|other| catalog(other) != first) {
        let other = catalog(other).into_keys().collect::<Vec<_>>();
        return Err(format!("catalogs differ: {:?} and {other:?}", first.keys()));
    }
    let stored = world.store.lock().unwrap().list("functions/").entries;
    let stored: BTreeSet<String> =
        stored.iter().map(|entry| entry.key["functions/".len()..].replace('/', "@")).collect();
    if !stored.iter().eq(first.keys()) {
        return Err(format!("the store holds {stored:?}, coordinators {:?}", first.keys()));
    }
    Ok(first)
}

fn registrations_are_kept(world: &World, catalog: &BTreeMap<String, Bytes>) -> Outcome {
    let records = world.records.lock().unwrap();
    let lost = records.acknowledged.iter().find(|(function, told)| catalog.get(*function) != Some(told));
    if let Some((function, _)) = lost {
        return Err(format!("{function} was acknowledged, and is lost"));
    }
    match records.dropped.iter().find(|function| catalog.contains_key(*function)) {
        Some(function) => Err(format!("{function} was dropped, and is back")),
        None => Ok(()),
    }
}

/// Every coordinator has the process of the executor attached that the store says.
fn executor_is_attached(world: &World, running: &[std::sync::Arc<Coordinator>], id: &str) -> Outcome {
    let record = world.store.lock().unwrap().get(&format!("executors/{id}"));
    let record = record.ok_or_else(|| format!("{id} is not known"))?;
    let record: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    for (number, coordinator) in running.iter().enumerate() {
        let snapshot = coordinator.fleet.snapshot();
        let entry = snapshot.executors.get(id).ok_or_else(|| format!("c{number} does not know {id}"))?;
        if entry.state != ExecutorState::Ready {
            return Err(format!("{id} is {} at c{number}", entry.state.as_str_name()));
        }
        if record["incarnation"] != entry.hello.incarnation || record["epoch"] != entry.epoch {
            let (incarnation, epoch) = (&entry.hello.incarnation, entry.epoch);
            return Err(format!("c{number} has {incarnation} of epoch {epoch} attached as {id}, not {record}"));
        }
    }
    Ok(())
}

/// What is registered, and nothing else, is desired by the leader, held by executors, and can be called at every coordinator.
fn executors_hold(
    world: &World,
    running: &[std::sync::Arc<Coordinator>],
    catalog: &BTreeMap<String, Bytes>,
    term: u64,
) -> Outcome {
    let mut held = BTreeSet::new();
    for id in world.executor_ids() {
        let process = world.executor(&id);
        let desired = process.desired();
        if process.dead.is_cancelled() || !attached_as(&running[0], &id, &process.incarnation()) {
            // Another process of the executor serves.
            continue;
        }
        if desired.term != term || !process.settled() {
            return Err(format!("{id} holds what was desired in term {}, not {term}", desired.term));
        }
        held.extend(desired.functions.keys().cloned());
    }
    if !held.is_empty() && !held.iter().eq(catalog.keys()) {
        return Err(format!("executors hold {held:?}, registered are {:?}", catalog.keys()));
    }
    for (number, coordinator) in running.iter().enumerate() {
        let routes = coordinator.routes.load();
        let unserved =
            catalog.keys().find(|function| routes.exact(function).is_none_or(|target| target.servers.is_empty()));
        if let Some(function) = unserved {
            return Err(format!("{function} can't be called at c{number}"));
        }
    }
    Ok(())
}

fn attached_as(coordinator: &Coordinator, id: &str, incarnation: &str) -> bool {
    coordinator.fleet.snapshot().executors.get(id).is_some_and(|entry| entry.hello.incarnation == incarnation)
}
