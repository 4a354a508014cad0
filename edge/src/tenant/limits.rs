//! How much each tenant may use, as settings and messages say it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use udfleet_proto::v1;

use crate::config::Size;

/// Stands for all tenants, as far as their own entry says nothing.
const ALL: &str = "*";

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitName {
    /// Registered versions of functions.
    Functions,
    /// Bytes of the files that these need.
    ArtifactBytes,
    /// Environments that these run in.
    Environments,
    /// Streams that are open at a process.
    Streams,
    /// Rows that a process receives in a second.
    RowsPerSecond,
}

impl LimitName {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Functions, Self::ArtifactBytes, Self::Environments, Self::Streams, Self::RowsPerSecond];

    /// As settings, messages and labels of metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::ArtifactBytes => "artifact_bytes",
            Self::Environments => "environments",
            Self::Streams => "streams",
            Self::RowsPerSecond => "rows_per_second",
        }
    }
}

/// How much one tenant may use. What is absent is not limited; 0 allows nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantLimits {
    /// Registered versions of functions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<u64>,
    /// Bytes of the files that these need, each counted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_bytes: Option<Size>,
    /// Environments that these run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environments: Option<u64>,
    /// Streams that are open at a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
    /// Rows that a process receives in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<u64>,
}

impl TenantLimits {
    /// With the values of `general` where this has none.
    fn or(self, general: Self) -> Self {
        Self {
            functions: self.functions.or(general.functions),
            artifact_bytes: self.artifact_bytes.or(general.artifact_bytes),
            environments: self.environments.or(general.environments),
            streams: self.streams.or(general.streams),
            rows_per_second: self.rows_per_second.or(general.rows_per_second),
        }
    }
}

impl From<TenantLimits> for v1::TenantLimits {
    fn from(limits: TenantLimits) -> Self {
        Self {
            functions: limits.functions,
            artifact_bytes: limits.artifact_bytes.map(|bytes| bytes.0),
            environments: limits.environments,
            streams: limits.streams,
            rows_per_second: limits.rows_per_second,
        }
    }
}

impl From<v1::TenantLimits> for TenantLimits {
    fn from(limits: v1::TenantLimits) -> Self {
        Self {
            functions: limits.functions,
            artifact_bytes: limits.artifact_bytes.map(Size),
            environments: limits.environments,
            streams: limits.streams,
            rows_per_second: limits.rows_per_second,
        }
    }
}

/// The limits of all tenants: by name, and under `*` those of all that have no value of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantLimitsTable(BTreeMap<String, TenantLimits>);

impl TenantLimitsTable {
    /// The same for every tenant.
    #[must_use]
    pub fn of_all(limits: TenantLimits) -> Self {
        Self(BTreeMap::from([(ALL.to_owned(), limits)]))
    }

    /// Those of one.
    #[must_use]
    pub fn of(&self, tenant: &str) -> TenantLimits {
        let entry = |name: &str| self.0.get(name).copied().unwrap_or_default();
        entry(tenant).or(entry(ALL))
    }

    /// True where nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tenants that are named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| *name != ALL)
    }
}

/// `TENANT.LIMIT=NUMBER`, as a flag and in a variable give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantLimitFlag {
    tenant: String,
    limit: LimitName,
    number: u64,
}

impl FromStr for TenantLimitFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not TENANT.LIMIT=NUMBER, such as *.streams=100");
        let (named, number) = text.split_once('=').ok_or_else(form)?;
        let (tenant, limit) = named.rsplit_once('.').filter(|(tenant, _)| !tenant.is_empty()).ok_or_else(form)?;
        let limit = LimitName::ALL.into_iter().find(|known| known.name() == limit.trim()).ok_or_else(|| {
            let all: Vec<&str> = LimitName::ALL.iter().map(|limit| limit.name()).collect();
            format!("there is no limit {limit:?}: limits are {}", all.join(", "))
        })?;
        let number = match limit {
            LimitName::ArtifactBytes => number.parse::<Size>()?.0,
            _ => number.trim().parse().map_err(|_| format!("{text:?}: {number:?} is no whole number"))?,
        };
        Ok(Self { tenant: tenant.trim().to_owned(), limit, number })
    }
}

impl fmt::Display for TenantLimitFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}={}", self.tenant, self.limit.name(), self.number)
    }
}

impl TenantLimitFlag {
    /// All flags as the table that a file has.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn as_table<S: Serializer>(flags: &[Self], serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = TenantLimitsTable::default();
        for flag in flags {
            let limits = table.0.entry(flag.tenant.clone()).or_default();
            let number = Some(flag.number);
            match flag.limit {
                LimitName::Functions => limits.functions = number,
                LimitName::ArtifactBytes => limits.artifact_bytes = number.map(Size),
                LimitName::Environments => limits.environments = number,
                LimitName::Streams => limits.streams = number,
                LimitName::RowsPerSecond => limits.rows_per_second = number,
            }
        }
        table.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_own_limits_and_those_of_all() {
        let table: TenantLimitsTable =
            toml::from_str("[\"*\"]\nstreams = 5\nfunctions = 9\nartifact_bytes = \"1g\"\n[acme]\nstreams = 0\n")
                .unwrap();
        let acme = table.of("acme");
        assert_eq!((acme.streams, acme.functions, acme.artifact_bytes), (Some(0), Some(9), Some(Size(1 << 30))));
        assert_eq!((table.of("other").streams, table.of("other").rows_per_second), (Some(5), None));
        assert_eq!(table.names().collect::<Vec<_>>(), ["acme"]);
        assert_eq!(TenantLimitsTable::default().of("x"), TenantLimits::default());
        assert_eq!(TenantLimits::from(v1::TenantLimits::from(acme)), acme);
        assert!(toml::from_str::<TenantLimitsTable>("[acme]\nstream = 1\n").is_err());
    }

    #[test]
    fn flags_make_the_same_table() {
        #[derive(Serialize)]
        struct Given(#[serde(serialize_with = "TenantLimitFlag::as_table")] Vec<TenantLimitFlag>);
        let flags = ["*.streams=5", "a.b.artifact_bytes=2k", "a.b.rows_per_second=7"].map(|text| text.parse().unwrap());
        let text = toml::to_string(&Given(flags.to_vec())).unwrap();
        let table: TenantLimitsTable = toml::from_str(&text).unwrap();
        let limits = table.of("a.b");
        assert_eq!(
            (limits.streams, limits.artifact_bytes, limits.rows_per_second),
            (Some(5), Some(Size(2048)), Some(7))
        );
        for bad in ["streams=1", ".streams=1", "a.stream=1", "a.streams", "a.streams=x"] {
            assert!(bad.parse::<TenantLimitFlag>().is_err(), "{bad}");
        }
    }
}
