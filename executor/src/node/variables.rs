//! Variables and secrets that functions ask for, given to the processes that serve them.

use std::path::Path;
use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::secrets::FOLDER_VARIABLE;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

use crate::secrets::{self, SecretValue, SecretsFolder};

/// What one process is given.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessVariables {
    variables: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl ProcessVariables {
    /// What a function asks for.
    pub(super) fn of(function: &Arc<FunctionDefinition>) -> Self {
        let variables = function.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { variables, secrets: function.secrets.clone() }
    }

    /// Variables that everybody may see, of a process that finds its secrets in this folder.
    pub(super) fn plain(&self, folder: &Path) -> Vec<(String, String)> {
        let folder = (!self.secrets.is_empty()).then(|| (FOLDER_VARIABLE.to_owned(), folder.display().to_string()));
        self.variables.iter().cloned().chain(folder).collect()
    }

    /// The secrets as they are now, which are written into this new folder of the process too, for its user.
    ///
    /// # Errors
    /// Where one is missing, or can't be read or written.
    pub(super) fn secrets(
        &self,
        secrets: &SecretsFolder,
        folder: &Path,
        user: Option<u32>,
    ) -> Result<Vec<SecretValue>, Error> {
        if self.secrets.is_empty() {
            return Ok(Vec::new());
        }
        let values = secrets.read(&self.secrets)?;
        secrets::write(folder, &values, user).map_err(|error| {
            let message = format!("an interpreter's secrets in {}: {}", folder.display(), error.kind());
            Error::new(ErrorCode::EnvironmentFailed, message)
                .hint("check space and permissions of the executor's work folder")
        })?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_given_what_its_functions_name() {
        let source = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("KEY"), "value").unwrap();
        std::fs::write(source.path().join("OTHER"), "not asked for").unwrap();
        let folder = SecretsFolder::new(Some(source.path().to_owned()));
        let function = FunctionDefinition {
            variables: [("MODEL".to_owned(), "small".to_owned())].into_iter().collect(),
            secrets: vec!["KEY".to_owned()],
            ..FunctionDefinition::default()
        };
        let process = ProcessVariables::of(&Arc::new(function));
        let temporary = tempfile::tempdir().unwrap();
        let target = temporary.path().join("secrets");
        let secrets = process.secrets(&folder, &target, None).unwrap();
        assert_eq!(secrets, [SecretValue::new("KEY", b"value".to_vec())]);
        let plain = process.plain(&target);
        assert_eq!(plain[0], ("MODEL".to_owned(), "small".to_owned()));
        assert_eq!(std::fs::read_to_string(Path::new(&plain[1].1).join("KEY")).unwrap(), "value");
        assert_eq!(std::fs::read_dir(&plain[1].1).unwrap().count(), 1);
        let none = ProcessVariables::default();
        assert!(none.plain(&target).is_empty() && none.secrets(&folder, &target, None).unwrap().is_empty());
    }
}
