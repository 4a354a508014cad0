//! Identifies the caller: engine, tenant and query.

use tonic::metadata::MetadataMap;

use super::Connection;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Says which dialect the caller speaks, over everything else: for proxies, which lose what it is known by.
pub const DIALECT_HEADER: &str = "x-udfleet-dialect";

/// Asks for a sign of life of the stream every so many milliseconds: a message without a batch.
pub const PROGRESS_HEADER: &str = "x-udfleet-progress-ms";

/// The longest text of a header that is kept, bytes.
const MOST_TEXT: usize = 128;

/// What a caller understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Engine {
    /// RisingWave, and others with arrow-udf's client: errors row by row, decimals as text.
    ArrowUdf,
    /// Databend: errors as statuses, tables without the column `row`.
    Databend,
    /// Any other Flight client.
    Other,
}

impl Engine {
    /// As a label of metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ArrowUdf => "arrow-udf",
            Self::Databend => "databend",
            Self::Other => "other",
        }
    }
}

/// A caller, by what its connection and the headers of its call say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its dialect.
    pub engine: Engine,
    /// Of the engine; empty where it names none.
    pub tenant: String,
    /// The engine's number of the query; empty where it gives none.
    pub query: String,
    /// The engine's name for the function; empty where it gives none.
    pub function: String,
    /// How often it wants to hear how its stream stands, milliseconds; 0: never.
    pub progress_every_ms: u32,
}

impl Caller {
    /// Reads headers and connection.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a dialect that does not exist.
    pub fn of(metadata: &MetadataMap, connection: &Connection) -> Result<Self, Error> {
        let text = |name: &str| {
            let mut text = metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            udfleet_proto::error::truncate(&mut text, MOST_TEXT);
            text
        };
        Ok(Self {
            engine: engine(metadata, connection)?,
            tenant: text("x-databend-tenant"),
            query: text("x-databend-query-id"),
            function: text("x-databend-function"),
            progress_every_ms: text(PROGRESS_HEADER).parse().unwrap_or_default(),
        })
    }
}

fn engine(metadata: &MetadataMap, connection: &Connection) -> Result<Engine, Error> {
    let header = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok());
    match header(DIALECT_HEADER) {
        None => {}
        Some("plain") => return Ok(Engine::Other),
        Some("arrow-udf") => return Ok(Engine::ArrowUdf),
        Some("databend") => return Ok(Engine::Databend),
        Some(other) => {
            return Err(Error::new(ErrorCode::InvalidInput, format!("header {DIALECT_HEADER} is {other:?}"))
                .hint("send `arrow-udf`, `databend` or `plain`"));
        }
    }
    let agent = header("user-agent").unwrap_or_default();
    let is_databend = || {
        metadata.keys().any(|key| match key {
            tonic::metadata::KeyRef::Ascii(key) => key.as_str().starts_with("x-databend-"),
            tonic::metadata::KeyRef::Binary(_) => false,
        })
    };
    if agent.starts_with("databend-query") || is_databend() {
        return Ok(Engine::Databend);
    }
    // RisingWave asks once per client, and its client may connect anew without asking. It can say nothing else of
    // itself; but what comes to the open listener from a bare Rust client is an engine.
    let bare = connection.is_open() && agent.starts_with("tonic/");
    Ok(if connection.has_asked_for_version() || bare { Engine::ArrowUdf } else { Engine::Other })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(headers: &[(&'static str, &str)], connection: &Connection) -> Result<Caller, Error> {
        let mut metadata = MetadataMap::new();
        for (name, value) in headers {
            metadata.insert(*name, value.parse().unwrap());
        }
        Caller::of(&metadata, connection)
    }

    fn engine_of(headers: &[(&'static str, &str)], connection: &Connection) -> Engine {
        caller(headers, connection).unwrap().engine
    }

    #[test]
    fn databend_is_known_by_its_headers() {
        let connection = Connection::default();
        assert_eq!(engine_of(&[("user-agent", "databend-query/v1.2 tonic/0.12")], &connection), Engine::Databend);
        let given = [("x-databend-tenant", "acme"), ("x-databend-query-id", "q1"), ("x-databend-function", "f")];
        let expected = Caller {
            engine: Engine::Databend,
            tenant: "acme".to_owned(),
            query: "q1".to_owned(),
            function: "f".to_owned(),
            progress_every_ms: 0,
        };
        assert_eq!(caller(&given, &connection).unwrap(), expected);
    }

    #[test]
    fn risingwave_is_known_by_what_its_connection_has_asked() {
        let (connection, other) = (Connection::default(), Connection::default());
        assert_eq!(engine_of(&[("user-agent", "tonic/0.14.9")], &connection), Engine::Other);
        connection.asked_for_version();
        assert_eq!(engine_of(&[], &connection), Engine::ArrowUdf);
        assert_eq!(engine_of(&[], &other), Engine::Other);
        assert_eq!(engine_of(&[("user-agent", "tonic/0.14.9")], &Connection::new(true)), Engine::ArrowUdf);
        assert_eq!(engine_of(&[("user-agent", "grpc-c++/1.6")], &Connection::new(true)), Engine::Other);
    }

    #[test]
    fn a_header_goes_over_everything_else() {
        let connection = Connection::default();
        connection.asked_for_version();
        assert_eq!(engine_of(&[(DIALECT_HEADER, "plain")], &connection), Engine::Other);
        assert_eq!(engine_of(&[(DIALECT_HEADER, "databend")], &connection), Engine::Databend);
        assert_eq!(
            engine_of(&[(DIALECT_HEADER, "arrow-udf"), ("x-databend-tenant", "t")], &Connection::default()),
            Engine::ArrowUdf
        );
        let error = caller(&[(DIALECT_HEADER, "snowflake")], &connection).unwrap_err();
        assert!(error.to_string().contains("snowflake"), "{error}");
    }
}
