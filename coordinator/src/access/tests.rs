use std::sync::Arc;
use std::time::Duration;

use udfleet_edge::auth::{
    Authenticator as _, FleetToken, LoginFailure, Principal, PrincipalKind, Right, SecretHash, TokenType,
};
use udfleet_edge::secret::Secret;
use udfleet_proto::v1::{AccessRecord, ErrorCode};

use super::{AccessTable, NewToken};
use crate::store::SharedStore;
use crate::store::embedded::EmbeddedStore;

async fn store(folder: &tempfile::TempDir) -> SharedStore {
    Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap())
}

fn fleet_token(text: &str) -> Arc<FleetToken> {
    Arc::new(FleetToken::new(Some(&Secret::new(text))))
}

async fn open(store: &SharedStore) -> AccessTable {
    AccessTable::open(Arc::clone(store), fleet_token("first")).await.unwrap().0
}

fn admin() -> Principal {
    Principal::unlimited(PrincipalKind::FleetToken)
}

fn of(kind: TokenType, name: &str) -> NewToken {
    let roles = if kind == TokenType::Roles { vec!["call".to_owned()] } else { Vec::new() };
    let (name, functions) = (name.to_owned(), vec!["team_*".to_owned()]);
    NewToken { kind, name, roles, functions, tenant: String::new(), lifetime: None }
}

fn login(table: &AccessTable, token: &Secret) -> Result<Arc<Principal>, LoginFailure> {
    table.authenticate(Some(token.expose()))
}

fn aged(record: AccessRecord, expires_unix_s: i64) -> AccessRecord {
    AccessRecord { expires_unix_s, ..record }
}

#[tokio::test]
async fn a_token_lets_in_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let table = open(&store).await;
    let (token, record) = table.create(of(TokenType::Roles, "ci"), &admin()).await.unwrap();
    assert!(record.secret_sha256.is_empty() && record.created_by.contains("fleet token"));
    let caller = login(&table, &token).unwrap();
    assert_eq!((caller.name.as_str(), caller.tenant.as_str()), ("ci", "ci"));
    assert!(caller.rights.has(Right::Call) && !caller.rights.has(Right::Register) && !caller.rights.has(Right::Attach));
    assert!(caller.demand_function("team_a").is_ok() && caller.demand_function("other").is_err());
    assert_eq!(table.create(of(TokenType::Roles, "ci"), &admin()).await.unwrap_err().code(), ErrorCode::InvalidInput);
    // Another process reads it from the store, where its secret is not.
    let other = open(&store).await;
    assert_eq!(login(&other, &token).unwrap(), caller);
    let stored = store.list("access/").await.unwrap().entries;
    let secret = token.expose().rsplit('.').next().unwrap().as_bytes();
    assert!(stored.iter().all(|entry| !entry.value.windows(secret.len()).any(|window| window == secret)));
    table.revoke(TokenType::Roles, "ci").await.unwrap();
    assert_eq!(login(&table, &token).unwrap_err(), LoginFailure::Revoked("ci".to_owned()));
    // A revoked name may be given again; the old token stays out.
    let (again, _) = table.create(of(TokenType::Roles, "ci"), &admin()).await.unwrap();
    assert!(login(&table, &again).is_ok());
    assert_eq!(login(&table, &token).unwrap_err(), LoginFailure::Wrong);
    assert_eq!(table.revoke(TokenType::Roles, "nobody").await.unwrap_err().code(), ErrorCode::InvalidInput);
}

#[tokio::test]
async fn what_another_coordinator_changes_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let here = open(&store).await;
    let (there, revision) = AccessTable::open(Arc::clone(&store), fleet_token("first")).await.unwrap();
    let there = Arc::new(there);
    let following = Arc::clone(&there);
    let task = tokio::spawn(async move { following.follow(revision).await });
    let (token, _) = here.create(of(TokenType::Roles, "ci"), &admin()).await.unwrap();
    let arrives = async {
        while login(&there, &token).is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrives).await.unwrap();
    let caller = login(&there, &token).unwrap();
    here.revoke(TokenType::Roles, "ci").await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), there.revoked(&caller)).await.unwrap();
    assert_eq!(login(&there, &token).unwrap_err(), LoginFailure::Revoked("ci".to_owned()));
    store.close().await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn who_stays_is_sent_away_when_its_token_expires_or_is_dropped_from_the_fleets_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\nformer\n").unwrap();
    let fleet_token = Arc::new(FleetToken::of_file(&file).unwrap());
    let table = AccessTable::open(store(&folder).await, Arc::clone(&fleet_token)).await.unwrap().0;
    let watching = tokio::spawn(async move { fleet_token.watch().await });
    let known = |token: &str| table.authenticate(Some(token)).unwrap();
    let (first, former) = (known("first"), known("former"));
    let lifetime = Some(Duration::from_secs(1));
    let (token, _) = table.create(NewToken { lifetime, ..of(TokenType::Roles, "ci") }, &admin()).await.unwrap();
    let expiring = login(&table, &token).unwrap();
    std::fs::write(&file, "first\n").unwrap();
    for ending in [&former, &expiring] {
        tokio::time::timeout(Duration::from_secs(60), table.revoked(ending)).await.unwrap();
    }
    assert!(Arc::ptr_eq(&known("first"), &first), "the same caller");
    let mut staying = Box::pin(table.revoked(&first));
    assert!(futures::poll!(&mut staying).is_pending());
    watching.abort();
}

#[tokio::test]
async fn an_expired_token_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let table = open(&store).await;
    let lifetime = Some(Duration::from_secs(3600));
    let (token, record) = table.create(NewToken { lifetime, ..of(TokenType::Roles, "ci") }, &admin()).await.unwrap();
    assert_eq!(record.expires_unix_s, record.created_unix_s + 3600);
    let stored = table.export().await.unwrap().remove(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let restored = open(&self::store(&elsewhere).await).await;
    assert!(!restored.import(aged(stored.clone(), 1), false).await.unwrap());
    assert_eq!(login(&restored, &token).unwrap_err(), LoginFailure::Expired("ci".to_owned()));
    // A restore overwrites nothing.
    assert!(restored.import(stored, false).await.unwrap());
    assert_eq!(login(&restored, &token).unwrap_err(), LoginFailure::Expired("ci".to_owned()));
}

#[tokio::test]
async fn a_join_token_is_used_once_by_its_executor() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let table = open(&store).await;
    let (token, _) = table.create(of(TokenType::Join, "e1"), &admin()).await.unwrap();
    let caller = login(&table, &token).unwrap();
    assert!(caller.rights.has(Right::Join) && !caller.rights.has(Right::Attach) && !caller.rights.has(Right::Call));
    let (credential, hash) = udfleet_edge::auth::token_of(TokenType::Executor, "e1", [7; 32]);
    let code = |result: Result<i64, udfleet_proto::error::Error>| result.map(drop).map_err(|error| error.code());
    assert_eq!(code(table.join(&caller, "e2", hash).await), Err(ErrorCode::PermissionDenied));
    let expires = table.join(&caller, "e1", hash).await.unwrap();
    assert_eq!(table.join(&caller, "e1", hash).await.unwrap(), expires, "the answer was lost");
    assert_eq!(code(table.join(&caller, "e1", SecretHash::of("other")).await), Err(ErrorCode::Unauthenticated));
    let executor = login(&table, &credential).unwrap();
    assert_eq!((executor.kind, executor.name.as_str()), (PrincipalKind::Executor, "e1"));
    assert!(executor.rights.has(Right::Attach) && !executor.rights.has(Right::Call));
    assert_eq!(code(table.join(&executor, "e1", hash).await), Ok(()), "it renews");
    assert_eq!(code(table.join(&executor, "e2", hash).await), Err(ErrorCode::PermissionDenied));
    // Nobody takes over a name that has a credential, until that is revoked.
    table.revoke(TokenType::Join, "e1").await.unwrap();
    let (second, _) = table.create(of(TokenType::Join, "e1"), &admin()).await.unwrap();
    let caller = login(&table, &second).unwrap();
    let other = SecretHash::of("other");
    assert_eq!(code(table.join(&caller, "e1", other).await), Err(ErrorCode::PermissionDenied));
    table.revoke(TokenType::Executor, "e1").await.unwrap();
    assert_eq!(login(&table, &credential).unwrap_err(), LoginFailure::Revoked("e1".to_owned()));
    assert_eq!(code(table.join(&caller, "e1", other).await), Ok(()));
    assert_eq!(code(table.join(&admin(), "", other).await), Err(ErrorCode::PermissionDenied));
}

#[tokio::test]
async fn a_fleet_without_a_token_stays_open_and_gives_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let (open_table, _) = AccessTable::open(Arc::clone(&store), Arc::new(FleetToken::new(None))).await.unwrap();
    assert_eq!(open_table.authenticate(None).unwrap().kind, PrincipalKind::Anonymous);
    let refused = open_table.create(of(TokenType::Roles, "ci"), &admin()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidConfig);
    // Tokens that are stored are not forgotten because a coordinator starts without its own.
    open(&store).await.create(of(TokenType::Roles, "ci"), &admin()).await.unwrap();
    let (closed, _) = AccessTable::open(Arc::clone(&store), Arc::new(FleetToken::new(None))).await.unwrap();
    assert_eq!(closed.authenticate(None).unwrap_err(), LoginFailure::Missing);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(&store(&folder).await).await;
    for token in [
        of(TokenType::Roles, ""),
        of(TokenType::Roles, "a/b"),
        NewToken { roles: vec!["root".to_owned()], ..of(TokenType::Roles, "ci") },
        NewToken { roles: Vec::new(), ..of(TokenType::Roles, "ci") },
        NewToken { functions: vec!["a b".to_owned()], ..of(TokenType::Roles, "ci") },
        NewToken { tenant: "a b".to_owned(), ..of(TokenType::Roles, "ci") },
        of(TokenType::Executor, "e1"),
    ] {
        let error = table.create(token.clone(), &admin()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidInput, "{token:?}");
    }
    assert!(table.list().is_empty());
}
