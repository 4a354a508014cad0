use super::entries::REGISTERING;
use super::*;
use crate::store::embedded::EmbeddedStore;

fn owner(coordinator: &str, incarnation: &str) -> Owner {
    Owner { coordinator: coordinator.to_owned(), incarnation: incarnation.to_owned() }
}

async fn open_as(folder: &tempfile::TempDir, owner: Owner) -> Registry {
    let store = EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap();
    Registry::open(Arc::new(store), owner).await.unwrap().0
}

async fn open(folder: &tempfile::TempDir) -> Registry {
    open_as(folder, owner("mine", "first")).await
}

/// What it takes over of earlier runs of the same coordinator.
async fn took_over(registry: &Registry) -> Result<Vec<Arc<Function>>, Error> {
    registry.take_over(None, |owner| registry.owner.succeeds(owner)).await
}

fn definition(name: &str, doc: &str) -> FunctionDefinition {
    FunctionDefinition { name: name.to_owned(), doc: doc.to_owned(), ..Default::default() }
}

async fn dropped(registry: &Registry, name: &str) -> Vec<String> {
    let dropped = registry.drop_function(&FunctionRef::parse(name).unwrap()).await.unwrap();
    dropped.iter().map(|function| function.name.clone()).collect()
}

#[tokio::test]
async fn versions_count_up_and_identical_definitions_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    let (first, new) = registry.register(definition("add", "a")).await.unwrap();
    assert_eq!((first.name.as_str(), new), ("add@1", true));
    let (same, new) = registry.register(definition("add", "a")).await.unwrap();
    assert_eq!((same.name.as_str(), new), ("add@1", false));
    let (second, _) = registry.register(definition("add", "b")).await.unwrap();
    assert_eq!(second.name, "add@2");
    assert_eq!(registry.catalog().newest("add").unwrap().name, "add@2");
}

#[tokio::test]
async fn a_request_that_is_sent_again_registers_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    let requested = |id: &str| FunctionDefinition { request_id: id.to_owned(), ..definition("add", "a") };
    assert_eq!(registry.register(requested("r1")).await.unwrap().0.name, "add@1");
    registry.register(definition("add", "b")).await.unwrap();
    let (again, new) = registry.register(requested("r1")).await.unwrap();
    assert_eq!((again.name.as_str(), new), ("add@1", false), "although it is not the newest any more");
    assert_eq!(registry.register(requested("r2")).await.unwrap().0.name, "add@3");
    let (same, new) = registry.register(requested("r3")).await.unwrap();
    assert_eq!((same.name.as_str(), new), ("add@3", false), "another request, but the same as the newest");
}

#[tokio::test]
async fn what_another_coordinator_has_stored_just_now_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
    let (here, _) = Registry::open(Arc::clone(&store), owner("here", "1")).await.unwrap();
    let (there, _) = Registry::open(store, owner("there", "1")).await.unwrap();
    there.register(definition("add", "a")).await.unwrap();
    let (same, new) = here.register(definition("add", "a")).await.unwrap();
    assert_eq!((same.name.as_str(), new), ("add@1", false));
    assert_eq!(here.register(definition("add", "b")).await.unwrap().0.name, "add@2");
    there.drop_function(&FunctionRef::parse("add@1").unwrap()).await.unwrap();
    assert_eq!(there.register(definition("add", "b")).await.unwrap().0.name, "add@2");
}

#[tokio::test]
async fn a_restart_loses_nothing_and_numbers_are_not_reused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    registry.register(definition("add", "a")).await.unwrap();
    registry.register(definition("add", "b")).await.unwrap();
    registry.register(definition("sub", "c")).await.unwrap();
    assert_eq!(dropped(&registry, "add@2").await, ["add@2"]);
    drop(registry);

    let registry = open(&folder).await;
    let names: Vec<_> = registry.catalog().iter().map(|f| f.name.clone()).collect();
    assert_eq!(names, ["add@1", "sub@1"]);
    assert_eq!(registry.register(definition("add", "b")).await.unwrap().0.name, "add@3");
    assert_eq!(dropped(&registry, "add").await, ["add@1", "add@3"]);
    assert!(dropped(&registry, "add").await.is_empty());
}

#[tokio::test]
async fn the_next_run_takes_over_what_did_not_end_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    for name in ["settled", "open", "dropped"] {
        registry.register(definition(name, "a")).await.unwrap();
    }
    let settled = Arc::clone(registry.catalog().newest("settled").unwrap());
    registry.settle(&settled).await.unwrap();
    registry.drop_function(&FunctionRef::parse("dropped").unwrap()).await.unwrap();
    assert!(took_over(&registry).await.unwrap().is_empty(), "it sees to its own already");
    let stale = Write::put("registering/never_stored/7", serde_json::to_vec(&registry.owner).unwrap());
    registry.store.transact(&[], vec![stale]).await.unwrap();
    drop(registry);

    let theirs = open_as(&folder, owner("theirs", "first")).await;
    theirs.register(definition("of_theirs", "a")).await.unwrap();
    assert!(took_over(&theirs).await.unwrap().is_empty(), "what another coordinator registers is its own");
    drop(theirs);

    let registry = open_as(&folder, owner("mine", "second")).await;
    let names = |functions: Vec<Arc<Function>>| functions.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(took_over(&registry).await.unwrap()), ["open@1"]);
    let left = registry.store.list(REGISTERING).await.unwrap().entries;
    assert_eq!(
        left.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(),
        ["registering/of_theirs/1", "registering/open/1"]
    );
    assert!(took_over(&registry).await.unwrap().is_empty(), "once");
}

#[tokio::test]
async fn a_registration_is_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    let (first, _) = registry.register(definition("add", "a")).await.unwrap();
    let entries = registry.store.list("").await.unwrap();
    let keys: Vec<_> = entries.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["functions/add/1", "registering/add/1", "versions/add"]);
    assert!(entries.entries.iter().all(|e| e.revision == entries.revision), "at one revision");
    registry.abandon(&first, false).await.unwrap();
    assert!(registry.store.list("").await.unwrap().entries.is_empty(), "and it leaves nothing");
}

#[tokio::test]
async fn the_number_of_a_failed_version_is_free_unless_somebody_can_have_called_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    let register = |doc: &'static str| async { registry.register(definition("add", doc)).await.unwrap().0 };
    let first = register("a").await;
    registry.settle(&first).await.unwrap();

    let failed = register("b").await;
    registry.abandon(&failed, false).await.unwrap();
    let second = register("c").await;
    assert_eq!((failed.name.as_str(), second.name.as_str()), ("add@2", "add@2"));
    assert_ne!(failed.hash, second.hash, "executors tell them apart");
    registry.settle(&second).await.unwrap();

    let served = register("d").await;
    registry.abandon(&served, true).await.unwrap();
    assert_eq!(register("e").await.name, "add@4", "3 has been called");

    let (overtaken, newer) = (register("f").await, register("g").await);
    registry.abandon(&overtaken, false).await.unwrap();
    registry.abandon(&newer, false).await.unwrap();
    assert_eq!(register("h").await.name, "add@6", "5 was overtaken, 6 not");

    let dropped = register("i").await;
    registry.drop_function(&FunctionRef::parse("add@7").unwrap()).await.unwrap();
    registry.abandon(&dropped, false).await.unwrap();
    assert_eq!(register("j").await.name, "add@8", "who dropped it has seen it");
}

#[tokio::test]
async fn changes_of_another_coordinator_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
    let (mine, after) = Registry::open(Arc::clone(&store), owner("mine", "a")).await.unwrap();
    let (theirs, _) = Registry::open(store, owner("theirs", "a")).await.unwrap();
    let (send, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let follow = mine.follow(after, || drop(send.send(mine.catalog())));
    let act = async {
        theirs.register(definition("add", "a")).await.unwrap();
        assert!(changes.recv().await.unwrap().newest("add").is_some());
        theirs.drop_function(&FunctionRef::parse("add").unwrap()).await.unwrap();
        assert!(changes.recv().await.unwrap().newest("add").is_none());
        // A number that is given out again stands for another definition.
        let (failed, _) = theirs.register(definition("sub", "a")).await.unwrap();
        assert_eq!(changes.recv().await.unwrap().newest("sub").unwrap().hash, failed.hash);
        theirs.abandon(&failed, false).await.unwrap();
        let (again, _) = theirs.register(definition("sub", "b")).await.unwrap();
        while changes.recv().await.unwrap().newest("sub").is_none_or(|now| now.hash != again.hash) {}
    };
    tokio::select! {
        () = follow => panic!("follow ended"),
        result = tokio::time::timeout(std::time::Duration::from_secs(10), act) => result.unwrap(),
    }
}

#[tokio::test]
async fn an_entry_that_cant_be_read_is_named_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&folder).await;
    registry.register(definition("add", "a")).await.unwrap();
    registry.register(definition("add", "b")).await.unwrap();
    registry.register(definition("sub", "c")).await.unwrap();
    let elsewhere = FunctionDefinition { version: 9, ..definition("other", "d") };
    let writes = vec![
        Write::put(function_key("add", 2), "no definition"),
        Write::put(function_key("sub", 2), elsewhere.encode_to_vec()),
        Write::put("functions/nameless", "no version"),
    ];
    registry.store.transact(&[], writes).await.unwrap();
    drop(registry);

    let registry = open(&folder).await;
    let read: Vec<_> = registry.catalog().iter().map(|f| (f.name.clone(), f.check().is_ok())).collect();
    let expected = [("add@1", true), ("add@2", false), ("sub@1", true), ("sub@2", false)];
    assert_eq!(read, expected.map(|(name, good)| (name.to_owned(), good)));
    let refusal = registry.catalog().get("add", 2).unwrap().check().unwrap_err();
    assert_eq!((refusal.code(), refusal.info().function.as_str()), (ErrorCode::FunctionNotFound, "add@2"));
    assert!(refusal.info().message.contains("functions/add/2") && refusal.info().hint.contains("udfleet drop add@2"));
    // The way out: drop it, register it anew.
    assert_eq!(dropped(&registry, "add@2").await, ["add@2"]);
    assert_eq!(registry.register(definition("add", "b")).await.unwrap().0.name, "add@3");
    drop(registry);
    let registry = open(&folder).await;
    assert!(registry.catalog().get("add", 2).is_none() && registry.catalog().get("add", 3).unwrap().check().is_ok());
}

#[tokio::test]
async fn a_limit_of_a_tenant_holds_over_all_coordinators() {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
    let limited = async |coordinator: &str| {
        let (registry, _) = Registry::open(Arc::clone(&store), owner(coordinator, "first")).await.unwrap();
        let limits = toml::from_str("[acme]\nfunctions = 3\n").unwrap();
        registry.limited(RegistrationQuota::new(Arc::new(udfleet_edge::tenant::Tenants::new(limits))))
    };
    // Neither follows the store: nothing is heard of the other.
    let (here, there) = (limited("here").await, limited("there").await);
    let of = |name: &str| FunctionDefinition { tenant: "acme".to_owned(), ..definition(name, "a") };
    let refused = |outcome: Result<(Arc<Function>, bool), RegisterError>| match outcome {
        Ok(_) => false,
        Err(RegisterError::Failed(error)) => error.code() == udfleet_proto::v1::ErrorCode::LimitExceeded,
        Err(RegisterError::Unresolved(error, _)) => panic!("{error}"),
    };
    here.register(of("a")).await.unwrap();
    there.register(of("b")).await.unwrap();
    let (c, d) = tokio::join!(here.register(of("c")), there.register(of("d")));
    assert_ne!(refused(c), refused(d), "one of two that come at once");
    assert!(refused(here.register(of("e")).await) && refused(there.register(of("e")).await));
    let newest = there.catalog().newest("b").unwrap().clone();
    there.drop_function(&FunctionRef::parse(&newest.definition.name).unwrap()).await.unwrap();
    there.register(of("e")).await.unwrap();
    assert!(refused(here.register(of("f")).await), "although it knows of b only");
    there.register(definition("free", "a")).await.unwrap();
}

#[tokio::test]
async fn who_follows_the_store_checks_a_tenants_limits_without_reading_the_whole_registry() {
    let store = Arc::new(crate::store::silent::SilentStore::open().await);
    let limited = async |coordinator: &str| {
        let (registry, after) = Registry::open(store.clone(), owner(coordinator, "first")).await.unwrap();
        let limits = toml::from_str("[acme]\nfunctions = 6\n").unwrap();
        (registry.limited(RegistrationQuota::new(Arc::new(udfleet_edge::tenant::Tenants::new(limits)))), after)
    };
    let ((here, from), (there, since)) = (limited("here").await, limited("there").await);
    let of = |name: String| FunctionDefinition { tenant: "acme".to_owned(), ..definition(&name, "a") };
    let listings = store.listings();
    let act = async {
        for turn in 0..3 {
            here.register(of(format!("h{turn}"))).await.unwrap();
            there.register(of(format!("t{turn}"))).await.unwrap();
        }
        assert!(here.register(of("one_more".to_owned())).await.is_err());
        assert!(there.register(of("one_more".to_owned())).await.is_err());
    };
    tokio::select! {
        () = here.follow(from, || {}) => panic!("follow ended"),
        () = there.follow(since, || {}) => panic!("follow ended"),
        result = tokio::time::timeout(std::time::Duration::from_secs(60), act) => result.unwrap(),
    }
    assert_eq!(store.listings(), listings);
}
