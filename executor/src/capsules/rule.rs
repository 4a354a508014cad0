//! Which functions keep capsules, and of which columns.

use arrow_schema::Schema;
use udfleet_proto::config::{CAPSULES, CAPSULES_REDACT};
use udfleet_proto::v1::{FunctionDefinition, Stage};

/// The value of the key that turns it on.
const ERRORS: &str = "errors";
/// Redacts every column.
const ALL: &str = "*";

/// What a target keeps of batches that fail.
#[derive(Debug, Clone)]
pub struct CapsuleRule {
    /// Its functions.
    pub functions: Vec<FunctionDefinition>,
    /// Unset for a function called by itself.
    pub stage: Option<Stage>,
    /// Names and positions of columns whose values are left out.
    redacted: Vec<String>,
}

impl CapsuleRule {
    /// `None`: it keeps nothing.
    #[must_use]
    pub fn of(definition: &FunctionDefinition) -> Option<Self> {
        let kept = CAPSULES.text(&definition.config) == ERRORS && definition.keyed.is_none();
        kept.then(|| Self { functions: vec![definition.clone()], stage: None, redacted: names(definition) })
    }

    /// Of a stage: its input is that of all its functions together, so all of them have to keep capsules.
    #[must_use]
    pub fn of_stage<'a>(stage: &Stage, functions: impl Iterator<Item = Option<&'a Self>>) -> Option<Self> {
        let all: Vec<&Self> = functions.collect::<Option<_>>()?;
        if all.is_empty() {
            return None;
        }
        let redacted = all.iter().flat_map(|rule| &rule.redacted);
        // The stage's columns are not the arguments of any one function.
        let redacted = redacted.map(|name| if position(name).is_some() { ALL.to_owned() } else { name.clone() });
        Some(Self {
            functions: all.iter().flat_map(|rule| rule.functions.clone()).collect(),
            stage: Some(stage.clone()),
            redacted: redacted.collect(),
        })
    }

    /// For each column of a batch, whether its values are left out. A name that no column has may mean any of them: callers
    /// name columns as they like.
    #[must_use]
    pub fn redacts(&self, schema: &Schema) -> Vec<bool> {
        let columns = schema.fields().len();
        let mut redacted = vec![false; columns];
        for name in &self.redacted {
            let at = position(name);
            let mut is_found = false;
            for (index, (field, redacted)) in schema.fields().iter().zip(&mut redacted).enumerate() {
                // A number is a position, and may be a column's name too.
                if field.name() == name || at == Some(index) {
                    (*redacted, is_found) = (true, true);
                }
            }
            if !is_found {
                return vec![true; columns];
            }
        }
        redacted
    }
}

fn names(definition: &FunctionDefinition) -> Vec<String> {
    let names = CAPSULES_REDACT.text(&definition.config).split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn position(name: &str) -> Option<usize> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow_schema::{DataType, Field};

    use super::*;

    fn function(capsules: &str, redact: &str) -> FunctionDefinition {
        let set = |key: &udfleet_proto::config::Key, value: &str| (key.name.to_owned(), value.to_owned());
        let config = BTreeMap::from([set(&CAPSULES, capsules), set(&CAPSULES_REDACT, redact)]);
        FunctionDefinition { name: "f".to_owned(), config, ..FunctionDefinition::default() }
    }

    fn redacted(rule: &CapsuleRule) -> Vec<bool> {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        rule.redacts(&Schema::new(vec![field("a"), field("b"), field("c")]))
    }

    #[test]
    fn nothing_is_kept_unless_asked_for() {
        assert!(CapsuleRule::of(&FunctionDefinition::default()).is_none());
        assert!(CapsuleRule::of(&function("off", "")).is_none());
        assert!(CapsuleRule::of(&function("errors", "")).is_some());
    }

    #[test]
    fn columns_are_redacted_by_name_and_position_and_all_of_them_where_in_doubt() {
        let of = |redact: &str| redacted(&CapsuleRule::of(&function("errors", redact)).unwrap());
        assert_eq!(of(""), [false, false, false]);
        assert_eq!(of(" b "), [false, true, false]);
        assert_eq!(of("c,0"), [true, false, true]);
        for all in ["*", "a,other", "3"] {
            assert_eq!(of(all), [true, true, true], "{all}");
        }
    }

    #[test]
    fn a_name_stands_for_each_column_that_has_it_and_for_a_position() {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let rule = CapsuleRule::of(&function("errors", "0")).unwrap();
        assert_eq!(rule.redacts(&Schema::new(vec![field("1"), field("0"), field("x")])), [true, true, false]);
        let rule = CapsuleRule::of(&function("errors", "ssn")).unwrap();
        assert_eq!(rule.redacts(&Schema::new(vec![field("ssn"), field("x"), field("ssn")])), [true, false, true]);
    }

    #[test]
    fn a_stage_keeps_what_all_of_its_functions_keep() {
        let (open, named) = (CapsuleRule::of(&function("errors", "")), CapsuleRule::of(&function("errors", "b")));
        let numbered = CapsuleRule::of(&function("errors", "1"));
        let of = |rules: &[&Option<CapsuleRule>]| {
            CapsuleRule::of_stage(&Stage::default(), rules.iter().map(|rule| rule.as_ref()))
        };
        assert!(of(&[&open, &None]).is_none(), "one of them has not agreed");
        assert!(of(&[]).is_none());
        let both = of(&[&open, &named]).unwrap();
        assert_eq!((both.functions.len(), redacted(&both)), (2, vec![false, true, false]));
        assert_eq!(redacted(&of(&[&open, &numbered]).unwrap()), [true, true, true], "positions are those of arguments");
    }
}
