//! What must hold after every event.

use super::*;

impl SimulatedFleet {
    /// What the latest report of each attached executor says of loads, against what is published.
    fn check_loads(&self) {
        let (snapshot, routes) = (self.snapshots.load(), self.routes.load());
        let none = Vec::new();
        for function in self.catalog.iter() {
            let on = |executor: &str| {
                let loads = self.reported.get(executor).unwrap_or(&none).iter();
                let waits = loads.clone().flat_map(|load| &load.waits).find(|wait| wait.function == function.name);
                let blocked = loads.filter(|load| load.environment == function.environment);
                let blocked = blocked.clone().any(|load| load.interpreters > 0 && load.held >= load.interpreters);
                (waits.map_or("", |wait| wait.reason.as_str()), blocked)
            };
            for (executor, status) in snapshot.functions.get(function.name.as_str()).unwrap().on.iter() {
                if status.state() == LoadState::Ready {
                    assert_eq!(status.waiting, on(executor).0, "{} on {executor}", function.name);
                }
            }
            for server in &routes.exact(&function.name).unwrap().servers {
                let executor = &server.endpoint.executor;
                assert_eq!(server.blocked.load(Ordering::Relaxed), on(executor).1, "{} on {executor}", function.name);
            }
        }
    }

    /// Everything that is published, against what the members, the placement and the catalog say.
    pub(super) fn check(&self) {
        let (snapshot, routes) = (self.snapshots.load(), self.routes.load());
        let members = || self.core.members.values();
        assert_eq!(snapshot.functions.len(), self.catalog.iter().count());
        for function in self.catalog.iter() {
            let name = function.name.as_str();
            let entry = snapshot.functions.get(name).unwrap();
            let should = members().filter(|m| m.serving() && m.wants(name));
            let statuses: Vec<_> =
                should.map(|m| (m.id().to_owned(), FunctionStatus::clone(&m.status(name)))).collect();
            let shown: Vec<_> = entry.on.iter().map(|(e, s)| (e.to_string(), FunctionStatus::clone(s))).collect();
            assert_eq!(shown, statuses, "{name}");
            let furthest = statuses.iter().map(|(_, s)| s.state()).filter(|s| *s != LoadState::Failed);
            let failed = if statuses.is_empty() { LoadState::Pending } else { LoadState::Failed };
            let furthest = furthest.max_by_key(|s| *s as i32).unwrap_or(failed);
            // Nothing is known of one that another leader may place it on.
            let unknown = furthest == LoadState::Unspecified;
            assert_eq!(entry.state(), if unknown { LoadState::Pending } else { furthest }, "{name}");
            if statuses.is_empty() {
                assert_eq!(entry.reason(), unplaced_reason(&self.core.placer, function, |_| false), "{name}");
            }
            let target = routes.exact(name).unwrap();
            let served = members().filter_map(|m| m.serves(name));
            let servers: Vec<_> = served.map(|(endpoint, count)| (Arc::as_ptr(endpoint), count)).collect();
            let shown = target.servers.iter().map(|s| (Arc::as_ptr(&s.endpoint), s.interpreters));
            assert_eq!(shown.collect::<Vec<_>>(), servers, "{name}");
            let reason = if servers.is_empty() { entry.reason() } else { "" };
            assert_eq!(target.reason, reason, "{name}");
        }
        for name in self.catalog.names() {
            let newest_first = || self.catalog.versions(name).rev().filter_map(|f| routes.exact(&f.name));
            let expected = newest_first().find(|t| !t.servers.is_empty()).or_else(|| newest_first().next()).unwrap();
            assert!(Arc::ptr_eq(routes.exact(name).unwrap(), expected), "{name}");
        }
        self.check_executors();
        self.check_numbers();
        self.check_desired();
        self.check_followed();
        self.check_loads();
    }

    /// What a follower has kept up to date of each executor, against what follows from its reports, and from where the
    /// environments of all functions are.
    fn check_followed(&self) {
        let follows = self.core.leadership.term().is_none();
        for member in self.core.members.values().filter(|m| follows && m.serving() && m.placeable()) {
            let (id, offer) = (member.id(), member.offer());
            // One that has just attached again is taken to hold what it did, until it reports.
            if member.follows_reports {
                let reported = member.held.desired(&self.catalog, false);
                assert!(member.desired.changed_functions(&reported).is_empty(), "{id}");
                assert!(member.desired.environments.iter().eq(reported.environments.iter()), "{id}");
            }
            let expected = member.expected.as_ref().unwrap();
            let on = |f: &Function| self.core.placer.places(&f.environment).is_some_and(|on| on.contains_key(id));
            let should = self.catalog.iter().filter(|f| on(f) && loads(f, &offer)).map(|f| (f.name.as_str(), &f.hash));
            let should: BTreeMap<_, _> = should.collect();
            let known = expected.functions.iter().map(|(name, desired)| (&**name, &desired.function.hash));
            assert_eq!(known.collect::<BTreeMap<_, _>>(), should, "{id}");
            assert!(expected.environments.iter().map(|(hash, n)| (&**hash, *n)).eq(self.core.placer.on(id)), "{id}");
        }
    }

    /// What each executor is told to hold, against where the environments of all functions are.
    fn check_desired(&self) {
        let environments: BTreeSet<&str> = self.catalog.iter().map(|f| f.environment.as_str()).collect();
        for environment in environments {
            let place = self.core.placer.places(environment).is_some();
            assert!(place != self.core.placer.unplaced(environment).is_some(), "{environment}: placed or not");
        }
        let told = self.core.leadership.acting().is_some();
        for member in self.core.members.values().filter(|m| told && m.serving() && m.placeable()) {
            let (id, offer) = (member.id(), member.offer());
            let here = |hash: &str| self.core.placer.places(hash).and_then(|places| places.get(id)).copied();
            let should = self.catalog.iter().filter(|f| here(&f.environment).is_some() && loads(f, &offer));
            let should: BTreeMap<&str, &[u8]> = should.map(|f| (f.name.as_str(), &*f.hash)).collect();
            let told = member.desired.functions.iter().map(|(name, desired)| (&**name, &*desired.function.hash));
            assert_eq!(told.collect::<BTreeMap<_, _>>(), should, "{id}");
            for (hash, interpreters) in member.desired.environments.iter() {
                assert_eq!(here(hash), Some(*interpreters), "{hash} on {id}");
            }
            assert!(should.keys().all(|name| {
                let environment = &self.catalog.iter().find(|f| f.name == *name).unwrap().environment;
                member.desired.environments.get(environment.as_str()).is_some()
            }));
        }
    }

    fn check_executors(&self) {
        let snapshot = self.snapshots.load();
        let members = || self.core.members.values();
        assert!(snapshot.executors.keys().map(|id| &**id).eq(members().map(|m| m.id())));
        for member in members() {
            let (shown, entry) = (snapshot.executors.get(member.id()).unwrap(), member.entry());
            assert_eq!(shown.info(self.now), entry.info(self.now));
        }
        let environments: BTreeSet<&str> = self.catalog.iter().map(|f| f.environment.as_str()).collect();
        assert!(snapshot.environments.keys().map(|hash| &**hash).eq(environments));
        for (hash, entry) in snapshot.environments.iter() {
            let hash = hash.to_string();
            let functions: BTreeSet<&str> =
                self.catalog.iter().filter(|f| f.environment == hash).map(|f| f.name.as_str()).collect();
            assert!(entry.functions.iter().map(|name| &**name).eq(functions));
            assert_eq!(entry.assigned, self.core.placer.places(&hash).cloned().unwrap_or_default());
            assert_eq!(entry.unplaced, self.core.placer.unplaced(&hash).cloned().unwrap_or_default());
            let built = members().filter(|m| m.attached() && m.built.contains(&hash)).map(|m| m.id());
            assert!(entry.built_on.iter().map(|id| &**id).eq(built), "{hash}");
        }
    }

    fn check_numbers(&self) {
        let snapshot = self.snapshots.load();
        for progress in snapshot.progress(None) {
            let total = progress.total.unwrap();
            let counted = self.counted.calls.iter().filter(|((function, _), _)| *function == total.function);
            let calls: u64 = counted.clone().map(|(_, (now, past))| now + past).sum();
            assert_eq!(total.calls, calls, "{}", total.function);
            let by_executor: BTreeMap<String, u64> =
                counted.map(|((_, e), (now, past))| (e.clone(), now + past)).filter(|(_, calls)| *calls > 0).collect();
            let shown = progress.executors.into_iter().map(|e| (e.executor, e.metrics.unwrap().calls));
            assert_eq!(shown.collect::<BTreeMap<_, _>>(), by_executor, "{}", total.function);
        }
    }
}
