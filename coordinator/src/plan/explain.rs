//! Stages as text for people.

use std::fmt::Write as _;

use udfleet_proto::types::sql;
use udfleet_proto::v1::{Field, Stage};

use super::Compiled;

/// One paragraph for each stage, one line for each step.
pub(super) fn explain(compiled: &Compiled) -> String {
    let mut text = String::new();
    let count = compiled.stages.len();
    for (index, (stage, notes)) in compiled.stages.iter().zip(&compiled.notes).enumerate() {
        // Writing to a String can't fail.
        let _ = writeln!(text, "Stage {} of {count}: {}", index + 1, headline(stage));
        let _ = writeln!(text, "  input     {}", fields(&stage.inputs));
        for line in notes {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  output    {}", fields(&stage.outputs));
    }
    text
}

fn headline(stage: &Stage) -> String {
    let environment = &stage.environment[..stage.environment.len().min(12)];
    let chained = match stage.functions.len() {
        0 => "no functions".to_owned(),
        1 => stage.functions[0].clone(),
        _ => format!("{} in one interpreter call", stage.functions.join(", ")),
    };
    let groups = match (stage.pipeline_breaker, stage.partition_by.is_empty()) {
        (false, _) => "",
        (true, true) => "; aggregated in one interpreter",
        (true, false) => "; groups spread by key",
    };
    format!("{chained}; environment {environment}{groups}")
}

fn fields(fields: &[Field]) -> String {
    let one = |field: &Field| {
        let data_type = field.r#type.as_ref().map_or_else(|| "?".to_owned(), sql);
        format!("{} {data_type}", field.name)
    };
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}
