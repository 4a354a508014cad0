//! Secrets and variables that functions ask for: their names, and what masks their values.

mod begun;
mod mask;

pub use mask::Masks;

/// Names the folder that an interpreter's secrets lie in, for functions and for what describes their exceptions.
pub const FOLDER_VARIABLE: &str = "UDFLEET_SECRETS_DIR";

/// A secret, bytes.
pub const MAX_SECRET_BYTES: usize = 64 << 10;
/// Secrets that one function may ask for.
pub const MAX_SECRETS: usize = 64;
/// All variables of one function with their names, bytes: a process can't be started with many more.
pub const MAX_VARIABLE_BYTES: usize = 64 << 10;
/// Of a name.
const MAX_NAME_BYTES: usize = 128;
/// Variables that make an interpreter what it is.
const RESERVED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];
const RESERVED_PREFIXES: [&str; 3] = ["UDFLEET_", "LD_", "PYTHON"];

/// True for what can name a variable of an interpreter, and so a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let first = name.bytes().next();
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let reserved = RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    first.is_some_and(|byte| !byte.is_ascii_digit()) && letters && !reserved && name.len() <= MAX_NAME_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_variables() {
        assert!(["OPENAI_API_KEY", "_x", "a1"].iter().all(|name| is_secret_name(name)));
        let long = "X".repeat(MAX_NAME_BYTES + 1);
        let wrong = ["", "1A", "a-b", "../x", "a.b", "PATH", "LD_PRELOAD", "PYTHONPATH", "UDFLEET_TOKEN", &long];
        assert!(!wrong.iter().any(|name| is_secret_name(name)));
    }
}
