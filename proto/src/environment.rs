//! Environments are addressed by content: the same content has the same hash on every node.

use prost::Message;
use sha2::{Digest, Sha256};

use crate::config::{self, NETWORK};
use crate::network::Network;
use crate::v1::{Environment, FunctionDefinition};

/// The environment's name: 16 hex digits of the SHA-256 of its canonical form.
///
/// Requirement lines are compared without surrounding space, comments and blank lines; their order counts, as it does
/// for installers. Sizes of artifacts don't count: their hashes do.
#[must_use]
pub fn hash(environment: &Environment) -> String {
    let mut canonical = environment.clone();
    canonical.requirements = requirement_lines(&environment.requirements);
    canonical.constraints = requirement_lines(&environment.constraints);
    for artifact in canonical.files.iter_mut().chain(&mut canonical.archives).chain(&mut canonical.requirements_cache) {
        artifact.size = 0;
    }
    let digest = Sha256::digest(canonical.encode_to_vec());
    hex::encode(&digest[..8])
}

/// The name of the group of interpreters that a function shares: that of its environment, unless it asks for labels,
/// resources, variables, secrets or less of the network, which only functions with the same wishes share.
#[must_use]
pub fn group(definition: &FunctionDefinition) -> String {
    let environment = definition.environment.as_ref().map_or_else(|| hash(&Environment::default()), hash);
    let bounded = Some(config::network(definition)).filter(|network| *network != Network::All);
    // Maps are ordered, so that equal wishes have one encoding.
    let mut wishes = FunctionDefinition {
        labels: definition.labels.clone(),
        resources: definition.resources.clone(),
        config: bounded.into_iter().map(|network| (NETWORK.name.to_owned(), network.to_string())).collect(),
        variables: definition.variables.clone(),
        secrets: definition.secrets.clone(),
        ..FunctionDefinition::default()
    };
    if wishes == FunctionDefinition::default() {
        return environment;
    }
    wishes.secrets.sort_unstable();
    let digest = Sha256::digest(wishes.encode_to_vec());
    format!("{environment}-{}", hex::encode(&digest[..4]))
}

/// The name of the environment that a group of interpreters runs.
#[must_use]
pub fn of_group(group: &str) -> &str {
    group.split_once('-').map_or(group, |(environment, _)| environment)
}

/// The lines that mean something: trimmed, without comments and blanks.
#[must_use]
pub fn requirement_lines(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| line.split_once(" #").map_or(line.as_str(), |(before, _)| before).trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(requirements: &[&str]) -> Environment {
        Environment {
            python: "3.11".to_owned(),
            requirements: requirements.iter().map(|r| (*r).to_owned()).collect(),
            ..Environment::default()
        }
    }

    #[test]
    fn content_decides() {
        let plain = hash(&environment(&["haversine"]));
        assert_eq!(plain, hash(&environment(&[" haversine  # distance", "", "# more"])));
        assert_ne!(plain, hash(&environment(&["haversine==2.9"])));
        let constrained = Environment { constraints: vec!["numpy<2 # old".to_owned()], ..environment(&["haversine"]) };
        assert_ne!(plain, hash(&constrained));
        assert_eq!(plain.len(), 16);
    }

    #[test]
    fn functions_with_other_wishes_share_the_environment_and_not_its_interpreters() {
        let plain = FunctionDefinition { environment: Some(environment(&[])), ..FunctionDefinition::default() };
        let with = |gpus: u32| FunctionDefinition {
            resources: [("gpu".to_owned(), gpus)].into_iter().collect(),
            ..plain.clone()
        };
        assert_eq!(group(&plain), hash(&environment(&[])));
        assert_ne!(group(&with(1)), group(&plain));
        assert_ne!(group(&with(1)), group(&with(2)));
        assert_eq!(group(&with(1)), group(&with(1)));
        assert_eq!(of_group(&group(&with(1))), group(&plain));
        assert_eq!(of_group(&group(&plain)), group(&plain));
        let on = |network: &str| FunctionDefinition {
            config: [(NETWORK.name.to_owned(), network.to_owned())].into_iter().collect(),
            ..plain.clone()
        };
        assert_eq!(group(&on("all")), group(&plain));
        assert_ne!(group(&on("none")), group(&plain));
        assert_ne!(group(&on("none")), group(&on("443")));
        assert_eq!(group(&on("53,443")), group(&on("443, 53")));
        let secrets = |names: &[&str]| FunctionDefinition {
            secrets: names.iter().map(|name| (*name).to_owned()).collect(),
            ..plain.clone()
        };
        assert_ne!(group(&secrets(&["A"])), group(&plain), "others would see the secret");
        assert_eq!(group(&secrets(&["A", "B"])), group(&secrets(&["B", "A"])));
    }
}
