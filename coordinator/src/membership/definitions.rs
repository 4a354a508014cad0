//! Definitions for executors that lack them, several to a message.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FetchDefinitionsRequest, FetchDefinitionsResponse};

use crate::registry::{Catalog, Function};

/// The most hashes of one request.
const AT_ONCE: usize = 1024;
/// What one message holds, bytes, unless it is a single definition.
const ROOM: usize = 4 << 20;

/// The messages that answer a request, made as they are taken.
pub(super) fn answers(
    request: FetchDefinitionsRequest,
    catalog: &Catalog,
) -> Result<impl Iterator<Item = FetchDefinitionsResponse> + Send + use<>, Error> {
    if request.definitions.len() > AT_ONCE {
        let message = format!("{} definitions are asked for: at most {AT_ONCE} at once", request.definitions.len());
        return Err(Error::new(ErrorCode::LimitExceeded, message));
    }
    let wanted: HashSet<Bytes> = request.definitions.into_iter().collect();
    let mut found: Vec<Arc<Function>> = wanted.iter().filter_map(|hash| catalog.by_hash(hash)).cloned().collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let mut left = found.into_iter().peekable();
    Ok(std::iter::from_fn(move || {
        let mut response = FetchDefinitionsResponse::default();
        let mut used = 0;
        let fits =
            |function: &Arc<Function>, used: usize| used == 0 || used + function.definition.encoded_len() <= ROOM;
        while let Some(function) = left.next_if(|function| fits(function, used)) {
            let encoded = function.definition.encode_to_vec();
            used += encoded.len();
            response.definitions.push(encoded.into());
        }
        (used > 0).then_some(response)
    }))
}

#[cfg(test)]
mod tests {
    use udfleet_proto::limits::MAX_CONTROL_BYTES;
    use udfleet_proto::v1::FunctionDefinition;

    use super::*;

    fn function(name: &str, bytes: usize) -> Arc<Function> {
        let definition =
            FunctionDefinition { name: name.to_owned(), version: 1, doc: "x".repeat(bytes), ..Default::default() };
        Arc::new(Function::new(definition))
    }

    #[test]
    fn what_is_asked_for_comes_in_messages_that_fit() {
        let mut functions: Vec<_> = (0..100).map(|n| function(&format!("small{n}"), 1000)).collect();
        functions.extend((0..5).map(|n| function(&format!("large{n}"), MAX_CONTROL_BYTES / 2 - 100)));
        let catalog = functions.iter().fold(Catalog::default(), |catalog, f| catalog.with(Arc::clone(f)));
        let mut definitions: Vec<Bytes> = functions.iter().skip(1).map(|f| f.hash.clone()).collect();
        definitions.push(Bytes::from_static(b"unknown"));
        let messages: Vec<_> = answers(FetchDefinitionsRequest { definitions }, &catalog).unwrap().collect();
        assert!(messages.iter().all(|m| m.encoded_len() < MAX_CONTROL_BYTES && !m.definitions.is_empty()));
        assert!((5..10).contains(&messages.len()), "{}", messages.len());
        let came: HashSet<String> = messages
            .iter()
            .flat_map(|m| &m.definitions)
            .map(|encoded| FunctionDefinition::decode(encoded.clone()).unwrap().name)
            .collect();
        assert!(came.len() == 104 && !came.contains("small0"));
        let many = FetchDefinitionsRequest { definitions: vec![Bytes::new(); AT_ONCE + 1] };
        assert_eq!(answers(many, &catalog).err().unwrap().code(), ErrorCode::LimitExceeded);
    }
}
