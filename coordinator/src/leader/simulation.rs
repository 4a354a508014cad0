//! Elections of several coordinators over a simulated store and time: answers are late or lost, coordinators are paused or
//! cut off, and whoever believes that it leads writes. At most one leader's writes take effect at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::election::{Election, Event, Failure, Operation, Role, Timing};
use crate::store::{LeaseId, Revision};

const TIMING: Timing = Timing { ttl: Duration::from_secs(3) };
const COORDINATORS: usize = 3;
const STEP: Duration = Duration::from_millis(50);

/// What the store holds of it: leases, and the leader's key.
#[derive(Default)]
struct Store {
    revision: Revision,
    leases: BTreeMap<LeaseId, Instant>,
    last_lease: LeaseId,
    /// Revision, lease and owner.
    key: Option<(Revision, LeaseId, usize)>,
    /// Of the newest deletion.
    deleted: Revision,
    /// Terms whose writes took effect, and whose they were, in order.
    writes: Vec<(Revision, usize)>,
}

impl Store {
    fn expire(&mut self, now: Instant) {
        self.leases.retain(|_, end| *end > now);
        if self.key.is_some_and(|(_, lease, _)| !self.leases.contains_key(&lease)) {
            self.revision += 1;
            (self.key, self.deleted) = (None, self.revision);
        }
    }

    fn does(&mut self, operation: Operation, who: usize, now: Instant) -> Event {
        match operation {
            Operation::Grant => {
                self.last_lease += 1;
                self.leases.insert(self.last_lease, now + TIMING.ttl);
                Event::Granted(Ok(self.last_lease))
            }
            Operation::Renew(lease) => match self.leases.get_mut(&lease) {
                Some(end) => {
                    *end = now + TIMING.ttl;
                    Event::Renewed(Ok(()))
                }
                None => Event::Renewed(Err(Failure::LeaseEnded)),
            },
            Operation::Campaign(lease) => {
                if self.key.is_some_and(|(_, _, owner)| owner != who) {
                    return Event::Campaigned(Ok(None));
                }
                if !self.leases.contains_key(&lease) {
                    return Event::Campaigned(Err(Failure::LeaseEnded));
                }
                self.revision += 1;
                self.key = Some((self.revision, lease, who));
                Event::Campaigned(Ok(Some(self.revision)))
            }
            Operation::Resign => {
                if self.key.is_some_and(|(_, _, owner)| owner == who) {
                    self.revision += 1;
                    (self.key, self.deleted) = (None, self.revision);
                }
                Event::Resigned(Ok(()))
            }
        }
    }

    /// A write that is conditioned on the leader's key.
    fn write(&mut self, term: Revision, who: usize) -> bool {
        let leads = self.key.is_some_and(|(revision, _, _)| revision == term);
        if leads {
            self.revision += 1;
            self.writes.push((term, who));
        }
        leads
    }
}

fn lost(operation: Operation) -> Event {
    match operation {
        Operation::Grant => Event::Granted(Err(Failure::Unknown)),
        Operation::Renew(_) => Event::Renewed(Err(Failure::Unknown)),
        Operation::Campaign(_) => Event::Campaigned(Err(Failure::Unknown)),
        Operation::Resign => Event::Resigned(Err(Failure::Unknown)),
    }
}

struct Coordinator {
    election: Election,
    /// The operation under way: when it reaches the store, and when its answer or its loss is known.
    under_way: Option<(Operation, Instant, Instant)>,
    /// What the store has answered.
    answer: Option<Event>,
    paused_until: Instant,
    cut_off_until: Instant,
    /// Whether it may lead, and whether it has heard so.
    may_lead: (bool, bool),
    heard: Revision,
    /// A write on its way, with the term that it names.
    write: Option<(Revision, Instant)>,
}

/// What the schedule does to one coordinator.
#[derive(Debug, Clone)]
enum Fault {
    /// It stands still, answers that come meanwhile are read afterwards.
    Pause(usize, u64),
    /// It does not reach the store.
    CutOff(usize, u64),
    /// It may not lead, or may again.
    MayLead(usize, bool),
    /// Nothing but time.
    Run(u64),
}

fn faults() -> impl Strategy<Value = Vec<(Fault, u64)>> {
    let who = 0..COORDINATORS;
    let fault = prop_oneof![
        2 => (who.clone(), 100..8000u64).prop_map(|(who, ms)| Fault::Pause(who, ms)),
        2 => (who.clone(), 100..8000u64).prop_map(|(who, ms)| Fault::CutOff(who, ms)),
        2 => (who, any::<bool>()).prop_map(|(who, may_lead)| Fault::MayLead(who, may_lead)),
        3 => (500..6000u64).prop_map(Fault::Run),
    ];
    // Beside each: how late messages are, at most.
    prop::collection::vec((fault, 1..700u64), 1..12)
}

struct World {
    store: Store,
    coordinators: Vec<Coordinator>,
    now: Instant,
    /// Draws delays.
    dice: u64,
    late: u64,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let coordinator = |_| Coordinator {
            election: Election::new(TIMING, now),
            under_way: None,
            answer: None,
            paused_until: now,
            cut_off_until: now,
            may_lead: (true, true),
            heard: 0,
            write: None,
        };
        Self {
            store: Store::default(),
            coordinators: (0..COORDINATORS).map(coordinator).collect(),
            now,
            dice: 7,
            late: 1,
        }
    }

    fn delay(&mut self) -> Duration {
        self.dice = self.dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Duration::from_millis((self.dice >> 33) % self.late)
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.store.expire(self.now);
            for who in 0..COORDINATORS {
                self.network(who);
            }
            for who in 0..COORDINATORS {
                if self.coordinators[who].paused_until <= self.now {
                    self.turn(who);
                }
            }
            self.check();
        }
    }

    /// What reaches the store now: also from a coordinator that has been paused since it sent it.
    fn network(&mut self, who: usize) {
        let (now, cut_off) = (self.now, self.coordinators[who].cut_off_until > self.now);
        if let Some((operation, arrives, _)) = self.coordinators[who].under_way
            && arrives <= now
            && self.coordinators[who].answer.is_none()
            && !cut_off
        {
            let answer = self.store.does(operation, who, now);
            self.coordinators[who].answer = Some(answer);
        }
        if let Some((term, arrives)) = self.coordinators[who].write
            && arrives <= now
            && !cut_off
        {
            self.store.write(term, who);
            self.coordinators[who].write = None;
        }
    }

    fn turn(&mut self, who: usize) {
        let now = self.now;
        let (deleted, key, cut_off) = (self.store.deleted, self.store.key, self.coordinators[who].cut_off_until > now);
        let coordinator = &mut self.coordinators[who];
        let mut event = Event::Time;
        if coordinator.may_lead.0 != coordinator.may_lead.1 {
            coordinator.may_lead.1 = coordinator.may_lead.0;
            event = Event::MayLead(coordinator.may_lead.0);
        } else if let Some((operation, _, answered)) = coordinator.under_way {
            let sent_long_ago = answered + TIMING.renewal() <= now;
            if answered <= now && coordinator.answer.is_some() && !cut_off {
                (event, coordinator.under_way) = (coordinator.answer.take().unwrap(), None);
            } else if sent_long_ago {
                (event, coordinator.under_way, coordinator.answer) = (lost(operation), None, None);
            }
        }
        // News of the key, unless it is cut off.
        if matches!(event, Event::Time) && !cut_off {
            if deleted > coordinator.heard {
                (event, coordinator.heard) = (Event::KeyDeleted(deleted), deleted);
            } else if let Some((revision, _, _)) = key.filter(|(revision, _, _)| *revision > coordinator.heard) {
                (event, coordinator.heard) = (Event::KeyWritten(revision), revision);
            }
        }
        let operation = coordinator.election.step(event, now);
        if let Some(operation) = operation {
            let (there, back) = (self.delay(), self.delay());
            self.coordinators[who].under_way = Some((operation, now + there, now + there + back));
        }
        let role = self.coordinators[who].election.role();
        if let (Some(term), None) = (role.term(), self.coordinators[who].write) {
            let there = self.delay();
            self.coordinators[who].write = Some((term, now + there));
        }
    }

    fn check(&self) {
        let awake = self.coordinators.iter().filter(|c| c.paused_until <= self.now);
        let leaders: Vec<_> = awake.filter_map(|c| Some((c.election.role().term()?, c.election.lease()?))).collect();
        assert!(leaders.len() <= 1, "two lead: {leaders:?}");
        for (_, lease) in leaders {
            assert!(self.store.leases.contains_key(&lease), "it leads without a lease");
        }
        let terms: Vec<_> = self.store.writes.iter().map(|(term, _)| *term).collect();
        assert!(terms.is_sorted(), "a stale leader's write took effect: {terms:?}");
        let mut owners = BTreeMap::new();
        for (term, who) in &self.store.writes {
            assert_eq!(owners.entry(*term).or_insert(who), &who, "one term, two leaders");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn at_most_one_leaders_writes_take_effect_and_there_always_comes_one(faults in faults()) {
        let mut world = World::new();
        for (fault, late) in faults {
            world.late = late;
            match fault {
                Fault::Pause(who, ms) => {
                    world.coordinators[who].paused_until = world.now + Duration::from_millis(ms);
                    world.run(Duration::from_millis(ms / 2));
                }
                Fault::CutOff(who, ms) => {
                    world.coordinators[who].cut_off_until = world.now + Duration::from_millis(ms);
                    world.run(Duration::from_millis(ms / 2));
                }
                Fault::MayLead(who, may_lead) => {
                    world.coordinators[who].may_lead.0 = may_lead;
                    world.run(Duration::from_millis(late));
                }
                Fault::Run(ms) => world.run(Duration::from_millis(ms)),
            }
        }
        world.late = 50;
        // Somebody may always lead.
        if world.coordinators.iter().all(|c| !c.may_lead.0) {
            world.coordinators[0].may_lead.0 = true;
        }
        let quiet = world.coordinators.iter().map(|c| c.paused_until.max(c.cut_off_until)).max().unwrap();
        let wait = quiet.saturating_duration_since(world.now);
        world.run(wait + TIMING.ttl * 2);
        let roles: Vec<Role> = world.coordinators.iter().map(|c| c.election.role()).collect();
        prop_assert_eq!(roles.iter().filter(|role| role.term().is_some()).count(), 1, "{:?}", roles);
        let mut leading = world.coordinators.iter().filter(|c| c.election.role().term().is_some());
        prop_assert!(leading.all(|c| c.may_lead.0), "who may not lead does not");
        prop_assert!(roles.iter().all(|role| *role != Role::Detached), "{:?}", roles);
        let writes = world.store.writes.len();
        world.run(Duration::from_secs(1));
        prop_assert!(world.store.writes.len() > writes, "the leader's writes take effect");
    }
}

/// Runs until one leads that is not `but`; how long that took.
fn until_another_leads(world: &mut World, but: usize) -> Duration {
    let begun = world.now;
    while !(0..COORDINATORS).any(|who| who != but && world.coordinators[who].election.role().term().is_some()) {
        world.run(STEP);
        assert!(world.now - begun < Duration::from_secs(60), "nobody leads");
    }
    world.now - begun
}

#[test]
fn another_takes_over_within_five_seconds() {
    let mut world = World::new();
    world.late = 50;
    world.run(Duration::from_secs(5));
    let leader = (0..COORDINATORS).find(|who| world.coordinators[*who].election.role().term().is_some()).unwrap();
    world.coordinators[leader].paused_until = world.now + Duration::from_secs(3600);
    let took = until_another_leads(&mut world, leader);
    assert!(took <= Duration::from_secs(4), "{took:?}");
    // Woken up it steps down before it does anything else, and what it writes still is refused.
    world.coordinators[leader].paused_until = world.now;
    world.run(STEP);
    assert_eq!(world.coordinators[leader].election.role().term(), None);
}

#[test]
fn one_alone_leads_at_once_and_goes_on() {
    let mut world = World::new();
    for who in 1..COORDINATORS {
        world.coordinators[who].paused_until = world.now + Duration::from_secs(3600);
    }
    world.run(STEP * 8);
    let term = world.coordinators[0].election.role().term();
    assert!(term.is_some(), "after two answers");
    world.late = 300;
    world.run(Duration::from_secs(600));
    assert_eq!(world.coordinators[0].election.role().term(), term);
}

#[test]
fn who_may_not_lead_gives_up_at_once_keeps_its_lease_and_takes_nothing_back() {
    let mut world = World::new();
    world.late = 50;
    world.run(Duration::from_secs(5));
    let leader = (0..COORDINATORS).find(|who| world.coordinators[*who].election.role().term().is_some()).unwrap();
    let lease = world.coordinators[leader].election.lease();
    world.coordinators[leader].may_lead.0 = false;
    let took = until_another_leads(&mut world, leader);
    assert!(took <= Duration::from_secs(2), "{took:?}");
    world.run(Duration::from_secs(60));
    let term = world.store.key.map(|(term, _, _)| term);
    world.coordinators[leader].may_lead.0 = true;
    world.run(Duration::from_secs(60));
    assert_eq!(world.coordinators[leader].election.lease(), lease);
    assert_eq!(world.store.key.map(|(term, _, _)| term), term, "who leads goes on leading");
}
