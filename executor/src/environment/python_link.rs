//! Where an environment's own `bin/python` leads. Packages run code of theirs while they are built, and can put another link
//! in its place: to a program that the executor then runs as itself, or into a folder that functions then may read.

use std::path::Path;

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::{Python, Pythons};

/// Refuses a link that leads to another Python than `python`. One of `pythons` is right as well: a Python out of an archive,
/// which lies in the folder `own` then, may be a script that starts it.
///
/// # Errors
/// `ENVIRONMENT_FAILED`.
pub(super) fn confirm(link: &Path, python: &Python, pythons: &Pythons, own: Option<&Path>) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().ok();
    let leads_to = real(link);
    let right = leads_to.as_deref().is_some_and(|target| {
        real(&python.executable).is_some_and(|python| python == target)
            || pythons.has(target)
            || own.and_then(real).is_some_and(|own| target.starts_with(own))
    });
    if right {
        return Ok(());
    }
    let found = leads_to.map_or_else(|| "nothing".to_owned(), |target| target.display().to_string());
    let message = format!(
        "a package of the environment has replaced {}: it leads to {found}, not to Python {}",
        link.display(),
        python.executable.display()
    );
    Err(Error::new(ErrorCode::EnvironmentFailed, message)
        .hint("leave out the package that is built from source and changes the environment's own Python"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn python(executable: PathBuf) -> Python {
        Python { version: (3, 11, 2), executable, base_prefix: PathBuf::from("/"), libpython: None }
    }

    #[test]
    fn the_link_leads_to_the_python_that_was_asked_for_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path.canonicalize().unwrap()
        };
        let (usual, secret, own) = (file("usr/python3.11"), file("secrets/KEY"), file("environment/archive/python"));
        let lead = |target: &Path| {
            let link = folder.path().join("link");
            let _ = std::fs::remove_file(&link);
            symlink(target, &link).unwrap();
            link
        };
        let none = Pythons::default();
        let archive = own.parent().unwrap();
        confirm(&lead(&usual), &python(usual.clone()), &none, None).unwrap();
        for bad in [&secret, &own, &folder.path().join("absent")] {
            let error = confirm(&lead(bad), &python(usual.clone()), &none, None).unwrap_err();
            assert_eq!(error.code(), ErrorCode::EnvironmentFailed);
        }
        confirm(&lead(&own), &python(archive.join("script")), &none, Some(archive)).unwrap();
        assert!(confirm(&lead(&usual), &python(archive.join("script")), &none, Some(archive)).is_err());
        assert!(confirm(&lead(&secret), &python(own.clone()), &none, Some(archive)).is_err());
    }
}
