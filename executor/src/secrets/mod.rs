//! Secrets that functions ask for by name: files of a folder, as Docker and Kubernetes mount them. Their values go into the
//! interpreters of these functions and nowhere else.

mod folder;

pub use folder::{SecretValue, SecretsFolder, write};
