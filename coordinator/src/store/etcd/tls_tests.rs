//! etcd that wants TLS, and certificates of its clients.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::process::EtcdCluster;
use super::*;
use crate::config::MetaStoreUrl;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate and its key; returns where.
fn certificate(folder: &Path, name: &str, issuer: &Issuer) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, issuer).unwrap();
    let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&files.0, certificate.pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    files
}

fn write_ca(folder: &Path, name: &str, issuer: &Issuer) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, issuer.pem()).unwrap();
    file
}

#[tokio::test]
async fn both_sides_show_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (issuer("ours"), issuer("theirs"));
    let (ca, foreign) = (write_ca(folder.path(), "ca", &ours), write_ca(folder.path(), "foreign", &theirs));
    let server = certificate(folder.path(), "server", &ours);
    let client = certificate(folder.path(), "client", &ours);
    let argument = |name: &str, file: &Path| format!("{name}={}", file.display());
    let arguments = [
        argument("--cert-file", &server.0),
        argument("--key-file", &server.1),
        argument("--trusted-ca-file", &ca),
        "--client-cert-auth".to_owned(),
    ];
    let Some(etcd) = EtcdCluster::start_with(1, &arguments) else { return };
    let MetaStoreUrl::Etcd(url) = etcd.url("fleet").parse().unwrap() else { panic!("no URL of etcd") };
    let good = EtcdConfig { url, ca: Some(ca), identity: Some(client), user: None };
    let store = EtcdStore::open(&good).await.unwrap();
    store.transact(&[], vec![Write::put("a", "1")]).await.unwrap().unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "1");

    let nobody = EtcdConfig { identity: None, ..good.clone() };
    assert!(matches!(EtcdStore::open(&nobody).await, Err(StoreError::Unavailable(_))), "it shows no certificate");
    let mistrusting = EtcdConfig { ca: Some(foreign), ..good.clone() };
    let refused = EtcdStore::open(&mistrusting).await.err();
    assert!(
        matches!(&refused, Some(StoreError::Unavailable(why)) if why.contains("certificate")),
        "etcd is not who it should be: {refused:?}"
    );
    let missing = EtcdConfig { ca: Some("/nowhere/ca".into()), ..good };
    assert!(matches!(EtcdStore::open(&missing).await, Err(StoreError::Failed(why)) if why.contains("/nowhere/ca")));
}
