//! Pages of lists of any length.

use prost::Message;
use udfleet_proto::runs::runs;
use udfleet_proto::v1::{AccessRecord, ExecutorInfo, FunctionInfo, FunctionProgress, TenantInfo};

/// Has a place in its list that stays what it is while others come and go.
pub(super) trait Listed: Message {
    /// Where it is in the list; `None`: nowhere, it comes last.
    fn place(&self) -> Option<(String, u32)>;
}

impl Listed for FunctionInfo {
    fn place(&self) -> Option<(String, u32)> {
        self.definition.as_ref().map(|definition| (definition.name.clone(), definition.version))
    }
}

impl Listed for ExecutorInfo {
    fn place(&self) -> Option<(String, u32)> {
        self.hello.as_ref().map(|hello| (hello.executor.clone(), 0))
    }
}

impl Listed for FunctionProgress {
    fn place(&self) -> Option<(String, u32)> {
        self.total.as_ref().map(|total| parse(&total.function))
    }
}

impl Listed for TenantInfo {
    fn place(&self) -> Option<(String, u32)> {
        Some((self.tenant.clone(), 0))
    }
}

impl Listed for AccessRecord {
    fn place(&self) -> Option<(String, u32)> {
        // A name may have a token of each kind.
        Some((self.name.clone(), self.kind.unsigned_abs()))
    }
}

fn parse(token: &str) -> (String, u32) {
    let versioned = token.rsplit_once('@').and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)));
    versioned.unwrap_or_else(|| (token.to_owned(), 0))
}

/// The items after `token` as far as one message holds them, and the token of what follows. `items` are in the order of
/// their places.
pub(super) fn page<T: Listed>(items: Vec<T>, token: &str) -> (Vec<T>, String) {
    let after = parse(token);
    let rest = items.into_iter().skip_while(|item| !token.is_empty() && item.place().is_some_and(|p| p <= after));
    let mut runs = runs(rest);
    let page = runs.next().unwrap_or_default();
    let last = if runs.at_end() { None } else { page.last().and_then(Listed::place) };
    let next = match last {
        Some((name, 0)) => name,
        Some((name, version)) => format!("{name}@{version}"),
        None => String::new(),
    };
    (page, next)
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionDefinition;

    use super::*;

    fn function(name: &str, version: u32, bytes: usize) -> FunctionInfo {
        let definition = FunctionDefinition { name: name.to_owned(), version, ..FunctionDefinition::default() };
        FunctionInfo { definition: Some(definition), reason: "x".repeat(bytes), ..FunctionInfo::default() }
    }

    #[test]
    fn pages_make_the_list_whatever_comes_and_goes_between_them() {
        let mut list: Vec<_> = (1..=9).map(|version| function("f", version, 500_000)).collect();
        list.extend((1..=9).map(|number| function(&format!("g{number}"), 12, 500_000)));
        let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (page, next) = page(list.clone(), &token);
            names.extend(page.iter().filter_map(Listed::place));
            pages += 1;
            if next.is_empty() {
                break;
            }
            // What the token names may be dropped.
            list.retain(|info| info.place() != page.last().and_then(Listed::place));
            token = next;
        }
        assert_eq!((names.len(), pages > 3), (18, true));
        assert!(names.is_sorted());
        assert_eq!(page(Vec::<FunctionInfo>::new(), ""), (Vec::new(), String::new()));
    }
}
