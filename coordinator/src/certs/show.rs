//! Prints what certificates say.

use std::path::Path;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use serde_json::json;
use udfleet_edge::tls::CertificateSummary;
use udfleet_proto::error::Error;

use super::command::ShowOptions;

/// The text for all files, in order.
pub(super) fn show(options: &ShowOptions) -> Result<String, Error> {
    let mut found = Vec::new();
    for file in &options.files {
        found.extend(CertificateSummary::of_file(file)?.into_iter().map(|summary| (file.as_path(), summary)));
    }
    let now = SystemTime::now();
    Ok(if options.json {
        let all: Vec<_> = found.iter().map(|(file, summary)| as_json(file, summary, now)).collect();
        format!("{}\n", json!(all))
    } else {
        found.iter().map(|(file, summary)| as_text(file, summary, now)).collect()
    })
}

/// Whole days that are left; negative ones have passed.
fn days_left(summary: &CertificateSummary, now: SystemTime) -> i64 {
    const DAY: u64 = 86_400;
    match summary.not_after.duration_since(now) {
        Ok(left) => (left.as_secs() / DAY).try_into().unwrap_or(i64::MAX),
        Err(passed) => -i64::try_from(passed.duration().as_secs() / DAY).unwrap_or(i64::MAX) - 1,
    }
}

fn as_text(file: &Path, summary: &CertificateSummary, now: SystemTime) -> String {
    let names: Vec<&str> = summary.names().collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let (days, kind) = (days_left(summary, now), if summary.is_ca { " (a CA)" } else { "" });
    let state = if days < 0 { "EXPIRED".to_owned() } else { format!("{days} days left") };
    format!(
        "{}\n  subject  {}{kind}\n  names    {names}\n  issuer   {}\n  valid    {} to {}, {state}\n",
        file.display(),
        summary.subject,
        summary.issuer,
        format_rfc3339_seconds(summary.not_before),
        format_rfc3339_seconds(summary.not_after),
    )
}

fn as_json(file: &Path, summary: &CertificateSummary, now: SystemTime) -> serde_json::Value {
    json!({
        "file": file.display().to_string(),
        "subject": summary.subject,
        "issuer": summary.issuer,
        "uris": summary.uris,
        "hosts": summary.hosts,
        "is_ca": summary.is_ca,
        "not_before": format_rfc3339_seconds(summary.not_before).to_string(),
        "not_after": format_rfc3339_seconds(summary.not_after).to_string(),
        "days_left": days_left(summary, now),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_expired_is_said() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * 86_400);
        let summary = CertificateSummary { not_after: end, ..CertificateSummary::default() };
        let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        assert_eq!((days_left(&summary, at(3)), days_left(&summary, at(12))), (7, -3));
        assert!(as_text(Path::new("f"), &summary, at(12)).contains("EXPIRED"));
        assert!(as_text(Path::new("f"), &summary, at(3)).contains("7 days left"));
    }
}
