//! Makes a CA, and certificates of nodes and clients.

use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use udfleet_edge::config::invalid;
use udfleet_edge::identity::Identity;
use udfleet_edge::tls::CertificateSummary;
use udfleet_proto::error::Error;
use webpki::EndEntityCert;

use super::command::CreateOptions;
use super::folder::Folder;

const CA: &str = "ca";
const CA_NAME: &str = "udfleet CA";
const DAY: Duration = Duration::from_secs(86_400);
const CA_DAYS: u32 = 3650;
/// Clocks of machines differ.
const BACKDATED: Duration = Duration::from_secs(3600);
/// Under which a node reaches itself.
const SELF: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Writes the files; returns what to tell.
pub(super) fn create(options: &CreateOptions) -> Result<String, Error> {
    let hosts = checked("--hosts", &options.hosts)?;
    let named = |flag: &str, given: &[String]| match given {
        [] => Ok(hosts.clone()),
        given => checked(flag, given),
    };
    let owners = named("--coordinators", &options.coordinators)?
        .into_iter()
        .map(Identity::Coordinator)
        .chain(named("--executors", &options.executors)?.into_iter().map(Identity::Executor))
        .chain(checked("--clients", &options.clients)?.into_iter().map(Identity::Client));
    let owners: Vec<Identity> = owners.collect();
    let folder = Folder::open(&options.dir)?;
    let (issuer, kept) = authority(&folder)?;
    let mut told = format!("{} {}\n", if kept { "using" } else { "made" }, folder.path("ca.crt").display());
    for owner in &owners {
        let name = file_name(owner);
        // One that is named like a host is at that host; others may be anywhere.
        let own: Vec<String> = hosts.iter().filter(|host| *host == owner.name()).cloned().collect();
        write(&folder, &name, owner, if own.is_empty() { &hosts } else { &own }, options.days, &issuer)?;
        told.push_str(&format!("made {}, {owner}\n", folder.path(&format!("{name}.crt")).display()));
    }
    Ok(told)
}

/// Without what would end up in file names or nowhere.
fn checked(flag: &str, names: &[String]) -> Result<Vec<String>, Error> {
    let mut found: Vec<String> = Vec::new();
    for name in names.iter().map(|name| name.trim()) {
        let fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:*".contains(c));
        if !fine || name.starts_with('.') {
            return Err(invalid(format!("{flag}: {name:?} is no name"))
                .hint("letters, digits, `-`, `_` and `.` are allowed, and commas between several"));
        }
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

fn file_name(owner: &Identity) -> String {
    let kind = match owner {
        Identity::Coordinator(_) => "coordinator",
        Identity::Executor(_) => "executor",
        Identity::Client(name) if name == "client" => return "client".to_owned(),
        Identity::Client(_) | Identity::Other(_) => "client",
    };
    format!("{kind}-{}", owner.name().replace([':', '*'], "_"))
}

/// The CA of the folder, and whether it was there before.
fn authority(folder: &Folder) -> Result<(Issuer<'static, KeyPair>, bool), Error> {
    let (certificate, key) = (folder.read("ca.crt")?, folder.read("ca.key")?);
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let key = KeyPair::from_pem(&key)
                .map_err(|e| invalid(format!("{}: it holds no key: {e}", folder.path("ca.key").display())))?;
            own_authority(folder, &certificate, &key)?;
            Ok((Issuer::new(authority_params(), key), true))
        }
        (None, None) => {
            let params = authority_params();
            let key = KeyPair::generate().map_err(failed)?;
            let certificate = params.self_signed(&key).map_err(failed)?;
            folder.write_pair(CA, &certificate.pem(), &key.serialize_pem())?;
            Ok((Issuer::new(params, key), false))
        }
        (certificate, _) => {
            let missing = folder.path(if certificate.is_some() { "ca.key" } else { "ca.crt" });
            Err(invalid(format!("{} is missing, the other file of the CA is there", missing.display()))
                .hint("put it back, or use another --dir for a new CA, which the fleet does not know yet"))
        }
    }
}

/// What all CAs that are made here have in common: with its key, a CA is the one that it was.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, CA_DAYS);
    params
}

/// Refuses a CA that was made elsewhere, and a key of another.
fn own_authority(folder: &Folder, certificate: &str, key: &KeyPair) -> Result<(), Error> {
    let path = folder.path("ca.crt");
    let named = |what: String| invalid(format!("{}: {what}", path.display()));
    let summary = CertificateSummary::of_file(&path)?;
    if summary.len() != 1 || !summary[0].is_ca || summary[0].subject != format!("CN={CA_NAME}") {
        return Err(named("it is no CA that was made here".to_owned())
            .hint("use the tools of that CA; docs/tls.md says what certificates need"));
    }
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| named(e.to_string()))?;
    let public = EndEntityCert::try_from(&certificate).map_err(|e| named(e.to_string()))?.subject_public_key_info();
    if key.subject_public_key_info() != public[..] {
        return Err(named("ca.key is the key of another CA".to_owned()).hint("put the right one back"));
    }
    Ok(())
}

fn write(
    folder: &Folder,
    name: &str,
    owner: &Identity,
    hosts: &[String],
    days: u32,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(), Error> {
    let client = matches!(owner, Identity::Client(_));
    let hosts = hosts.iter().map(String::as_str).chain(SELF).filter(|_| !client);
    let hosts: std::collections::BTreeSet<String> = hosts.map(str::to_owned).collect();
    let mut params = CertificateParams::new(Vec::from_iter(hosts))
        .map_err(|e| invalid(format!("--hosts: a certificate can't have such a name: {e}")))?;
    let uri = Ia5String::try_from(owner.to_string())
        .map_err(|e| invalid(format!("{owner} can't be in a certificate: {e}")))?;
    params.subject_alt_names.push(SanType::URI(uri));
    params.distinguished_name.push(DnType::CommonName, owner.name());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !client {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    validity(&mut params, days);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, issuer).map_err(failed)?;
    folder.write_pair(name, &certificate.pem(), &key.serialize_pem())
}

fn validity(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + DAY * days).into();
}

fn failed(error: rcgen::Error) -> Error {
    Error::internal(format!("a certificate can't be made: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use clap::Parser as _;
    use udfleet_edge::tls::{Credentials, TlsFiles};
    use udfleet_proto::v1::ErrorCode;

    use super::super::{CertsCommand, run};

    fn made(folder: &Path, arguments: &[&str]) -> Result<(), udfleet_proto::error::Error> {
        let dir = folder.to_str().unwrap();
        let all = ["udfleet certs", "create", "--dir", dir].into_iter().chain(arguments.iter().copied());
        run(&CertsCommand::try_parse_from(all).unwrap())
    }

    fn shown(folder: &Path, name: &str) -> udfleet_edge::tls::CertificateSummary {
        let path = |what: &str| folder.join(format!("{name}.{what}"));
        let files = TlsFiles { ca: folder.join("ca.crt"), identity: Some((path("crt"), path("key"))) };
        Credentials::of_client(files).unwrap().certificate().unwrap()
    }

    #[test]
    fn each_host_gets_a_coordinator_and_an_executor() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), &["--hosts", "node-1,10.0.0.7"]).unwrap();
        let executor = shown(folder.path(), "executor-node-1");
        assert_eq!(executor.uris, ["udfleet://executor/node-1"]);
        assert!(executor.hosts.contains(&"node-1".to_owned()) && !executor.hosts.contains(&"10.0.0.7".to_owned()));
        assert!(shown(folder.path(), "coordinator-10.0.0.7").hosts.contains(&"10.0.0.7".to_owned()));
        let client = shown(folder.path(), "client");
        assert_eq!((client.uris, client.hosts), (vec!["udfleet://client/client".to_owned()], vec![]));
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let key = entry.path().extension().is_some_and(|extension| extension == "key");
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if key { 0o600 } else { 0o644 }, "{:?}", entry.path());
        }
    }

    #[test]
    fn the_ca_stays_and_the_rest_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let options = ["--hosts", "*.fleet", "--executors", "e1,e2", "--coordinators", "c", "--days", "2"];
        made(folder.path(), &options).unwrap();
        let (ca, e1) = (read("ca.crt"), read("executor-e1.crt"));
        made(folder.path(), &options).unwrap();
        assert!(ca == read("ca.crt") && e1 != read("executor-e1.crt"));
        assert!(shown(folder.path(), "executor-e1").hosts.contains(&"*.fleet".to_owned()));
        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        assert_eq!(made(folder.path(), &options).unwrap_err().code(), ErrorCode::InvalidConfig);
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for hosts in ["a,,b", "../x", "a b", "a/b"] {
            assert_eq!(
                made(folder.path(), &["--hosts", hosts]).unwrap_err().code(),
                ErrorCode::InvalidConfig,
                "{hosts}"
            );
        }
    }
}
