//! Sources of settings, and their precedence.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use udfleet_proto::error::Error;
use udfleet_proto::name::nearest;

use super::invalid;

/// Settings that replace each other: the token comes in two forms, and whichever source is higher decides on both.
const ALTERNATIVES: [&str; 2] = ["token", "token_file"];

/// A command line whose settings can stand in the environment and in a file too.
pub trait CommandLine: CommandFactory + FromArgMatches {
    /// What flags and variables give: optional fields, each with the name that it has as a flag and in the file.
    type Layer: Serialize;

    /// The file with settings.
    fn file(&self) -> Option<&Path>;

    /// What flags and variables give.
    fn given(&self) -> &Self::Layer;
}

/// What each source says.
#[derive(Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Table,
    flags: Table,
}

/// Reads a command line, the program's name first, and the environment.
///
/// # Errors
/// When either can't be used; clap's error says why, and also carries `--help` and `--version`.
pub fn read<C: CommandLine>(arguments: impl IntoIterator<Item = OsString>) -> Result<(C, Sources), clap::Error> {
    let matches = C::command().try_get_matches_from(arguments)?;
    let command = C::from_arg_matches(&matches)?;
    let given = Table::try_from(command.given())
        .map_err(|e| C::command().error(ErrorKind::InvalidUtf8, format!("settings must be UTF-8 text: {e}")))?;
    let mut sources = Sources { file: command.file().map(Path::to_owned), ..Sources::default() };
    for (key, value) in given.into_iter().filter(|(_, value)| !is_empty(value)) {
        let by_variable = matches.value_source(&key) == Some(ValueSource::EnvVariable);
        let source = if by_variable { &mut sources.environment } else { &mut sources.flags };
        source.insert(key, value);
    }
    Ok((command, sources))
}

/// A repeatable flag that was not given.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.is_empty(),
        Value::Table(values) => values.is_empty(),
        _ => false,
    }
}

/// Why a token is not taken from a command line.
pub const TOKEN_IN_ARGUMENTS: &str = "--token: every user of this machine reads it in the list of processes";
/// What to do instead.
pub const TOKEN_ELSEWHERE: &str = "use --token-file, or set UDFLEET_TOKEN or UDFLEET_TOKEN_FILE";

impl Sources {
    /// Refuses a token that stands on the command line. To be asked by whoever goes on with the settings.
    ///
    /// # Errors
    /// `INVALID_CONFIG`, without the token.
    pub fn check_command_line(&self) -> Result<(), Error> {
        if self.flags.contains_key(ALTERNATIVES[0]) {
            return Err(invalid(TOKEN_IN_ARGUMENTS).hint(TOKEN_ELSEWHERE));
        }
        Ok(())
    }

    /// Reads the file and puts all sources together; what none of them says is up to `T`.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file, the line and the key at fault, and for unknown keys the nearest.
    pub fn load<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let file = match &self.file {
            Some(path) => read_file::<T>(path)?,
            None => Table::new(),
        };
        let all = over(self.flags.clone(), over(self.environment.clone(), file));
        Value::Table(all).try_into().map_err(|e: toml::de::Error| invalid(e.message()))
    }
}

fn read_file<T: DeserializeOwned>(path: &Path) -> Result<Table, Error> {
    let named = |what: &str| invalid(format!("config file {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| named(&e.to_string()))?;
    let line_of = |error: &toml::de::Error| error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
    // Lines themselves are not shown: they may hold a secret.
    let malformed = |error: toml::de::Error| named(&format!("line {}: {}", line_of(&error), error.message()));
    let table: Table = toml::from_str(&text).map_err(malformed)?;
    // Once more as it stands, so that errors of values know their line, and with it their key.
    let refused = |error: toml::de::Error| {
        let line = line_of(&error);
        if let Some((key, near)) = unknown_key(error.message()) {
            let error = named(&format!("line {line}: unknown key `{key}`"));
            return near.map(|near| error.clone().hint(format!("did you mean `{near}`?"))).unwrap_or(error);
        }
        let key =
            text.lines().nth(line.saturating_sub(1)).and_then(|text| text.split_once('=')).map_or("", |(key, _)| key);
        named(&format!("line {line}: {}: {}", key.trim(), error.message()))
    };
    toml::from_str::<T>(&text).map_err(refused)?;
    Ok(table)
}

/// Key and nearest key, where this is serde's message about an unknown one: names stand in backticks, its own first.
fn unknown_key(message: &str) -> Option<(&str, Option<&str>)> {
    let named = message.strip_prefix("unknown field ")?;
    let mut names = named.split('`').skip(1).step_by(2);
    let key = names.next()?;
    Some((key, nearest(key, names)))
}

/// Lays one source over a lower one. Tables are put together key by key.
fn over(upper: Table, mut lower: Table) -> Table {
    if ALTERNATIVES.iter().any(|key| upper.contains_key(*key)) {
        ALTERNATIVES.iter().for_each(|key| drop(lower.remove(*key)));
    }
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => below.extend(above),
            (_, value) => drop(lower.insert(key, value)),
        }
    }
    lower
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Flags {
        #[arg(long)]
        config: Option<PathBuf>,
        #[command(flatten)]
        given: Layer,
    }

    #[derive(Debug, clap::Args, Serialize)]
    struct Layer {
        #[arg(long)]
        number: Option<u32>,
        #[arg(long)]
        path: Vec<PathBuf>,
        #[arg(long)]
        token: Option<String>,
        #[arg(long, env = "CARGO_MANIFEST_DIR")]
        token_file: Option<PathBuf>,
    }

    impl CommandLine for Flags {
        type Layer = Layer;

        fn file(&self) -> Option<&Path> {
            self.config.as_deref()
        }

        fn given(&self) -> &Layer {
            &self.given
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Loaded {
        number: u32,
        path: Vec<PathBuf>,
        token: Option<String>,
        token_file: Option<PathBuf>,
        labels: BTreeMap<String, String>,
    }

    fn load(text: &str, flags: &[&str]) -> Result<Loaded, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let program = [OsString::from("program"), "--config".into(), file.path().into()];
        let (_, sources) = read::<Flags>(program.into_iter().chain(flags.iter().map(Into::into))).unwrap();
        sources.load()
    }

    #[test]
    fn flags_go_over_variables_over_the_file() {
        let loaded = load("number = 1\ntoken = \"file\"\npath = [\"/a\"]\n", &["--number", "2"]).unwrap();
        assert_eq!((loaded.number, loaded.path), (2, vec![PathBuf::from("/a")]));
        // The variable, which cargo sets, goes over the file in either form.
        assert_eq!((loaded.token, loaded.token_file), (None, Some(env!("CARGO_MANIFEST_DIR").into())));
        let loaded = load("token_file = \"/file\"\n", &["--token", "flag", "--path", "/b", "--path", "/c"]).unwrap();
        assert_eq!((loaded.token.as_deref(), loaded.token_file), (Some("flag"), None));
        assert_eq!(loaded.path.len(), 2);
    }

    #[test]
    fn a_token_does_not_stand_on_the_command_line() {
        let check = |arguments: &[&str]| {
            let (_, sources) = read::<Flags>(arguments.iter().map(Into::into)).unwrap();
            sources.check_command_line()
        };
        let error = check(&["program", "--token", "s3cret"]).unwrap_err();
        assert!(error.code() == ErrorCode::InvalidConfig && !error.to_string().contains("s3cret"), "{error}");
        assert!(check(&["program", "--token-file", "/t"]).is_ok());
    }

    #[test]
    fn tables_are_put_together() {
        let table = |text: &str| toml::from_str::<Table>(text).unwrap();
        let all = over(table("[labels]\na = \"2\"\n"), table("[labels]\na = \"1\"\nb = \"1\"\n"));
        assert_eq!(all, table("[labels]\na = \"2\"\nb = \"1\"\n"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_its_text() {
        let error = load("number = 1\nnumbr = 2\n", &[]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        assert!(error.info().message.contains("line 2") && error.info().message.contains("`numbr`"), "{error}");
        assert!(error.info().hint.contains("`number`"), "{error}");
        let error = load("number = \"many\"\n", &[]).unwrap_err();
        assert!(error.info().message.contains("line 1: number: "), "{error}");
        for text in ["token = \"s3cret\nnumber = 1\n", "token = [\"s3cret\"]\n", "number = 1\nnumber = \"s3cret\""] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.info().message.contains("line ") && !error.to_string().contains("s3cret"), "{error}");
        }
    }
}
