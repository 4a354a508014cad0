//! The fields of a certificate that the verifying library keeps to itself. They are shown and measured; nothing is decided by
//! them.

use std::net::IpAddr;
use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime, Time};

use super::certificate::CertificateSummary;

const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.19
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// Attributes 2.5.4.N of names.
const ATTRIBUTES: [(u8, &str); 6] = [(3, "CN"), (6, "C"), (7, "L"), (8, "ST"), (10, "O"), (11, "OU")];

/// All but the URIs; `None` where it is no certificate.
pub(super) fn read(certificate: &[u8]) -> Option<CertificateSummary> {
    let mut signed = Values(Values(certificate).tagged(SEQUENCE)?);
    let mut fields = Values(signed.tagged(SEQUENCE)?);
    if fields.peek()? == VERSION {
        fields.next()?;
    }
    // Serial number and algorithm.
    fields.next()?;
    fields.next()?;
    let issuer = name(fields.tagged(SEQUENCE)?)?;
    let mut validity = Values(fields.tagged(SEQUENCE)?);
    let (not_before, not_after) = (instant(validity.next()?)?, instant(validity.next()?)?);
    let subject = name(fields.tagged(SEQUENCE)?)?;
    let mut summary = CertificateSummary { subject, issuer, not_before, not_after, ..CertificateSummary::default() };
    while let Some((tag, value)) = fields.next() {
        if tag == EXTENSIONS {
            extensions(Values(value).tagged(SEQUENCE)?, &mut summary)?;
        }
    }
    Some(summary)
}

/// Tagged values, one after another.
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match usize::from(*first) {
            short @ 0..0x80 => (short, rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(long - 0x80).filter(|(bytes, _)| bytes.len() <= 4)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn tagged(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().and_then(|(tag, value)| (tag == expected).then_some(value))
    }
}

/// `CN=a, O=b`.
fn name(bytes: &[u8]) -> Option<String> {
    let (mut sets, mut parts) = (Values(bytes), Vec::new());
    while let Some((_, set)) = sets.next() {
        let mut pair = Values(Values(set).tagged(SEQUENCE)?);
        let ((_, kind), (_, value)) = (pair.next()?, pair.next()?);
        let known = match kind {
            [0x55, 0x04, number] => ATTRIBUTES.iter().find(|(known, _)| known == number).map(|(_, short)| *short),
            _ => None,
        };
        // Who made the certificate may have put anything into it.
        let text: String = String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).collect();
        parts.push(format!("{}={text}", known.unwrap_or("?")));
    }
    Some(parts.join(", "))
}

fn extensions(bytes: &[u8], summary: &mut CertificateSummary) -> Option<()> {
    let mut all = Values(bytes);
    while let Some((_, extension)) = all.next() {
        let mut parts = Values(extension);
        let (_, kind) = parts.next()?;
        if parts.peek()? == BOOLEAN {
            parts.next()?;
        }
        let (_, content) = parts.next()?;
        match kind {
            ALTERNATIVE_NAMES => {
                let mut names = Values(Values(content).tagged(SEQUENCE)?);
                while let Some((tag, value)) = names.next() {
                    summary.hosts.extend(host(tag, value));
                }
            }
            BASIC_CONSTRAINTS => {
                let mut constraints = Values(Values(content).tagged(SEQUENCE)?);
                summary.is_ca = constraints.tagged(BOOLEAN).is_some_and(|value| value != [0]);
            }
            _ => {}
        }
    }
    Some(())
}

fn host(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => std::str::from_utf8(value).ok().filter(|name| name.is_ascii()).map(str::to_owned),
        IP_ADDRESS => {
            let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn instant((tag, value): (u8, &[u8])) -> Option<SystemTime> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z').filter(|text| text.is_ascii())?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(two(0)?).ok()?, two(2)?).ok()?;
    let time = Time::from_hms(two(4)?, two(6)?, two(8)?).ok()?;
    Some(OffsetDateTime::new_utc(date, time).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let seconds = |tag, text: &str| {
            instant((tag, text.as_bytes())).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap())
        };
        assert_eq!(seconds(UTC_TIME, "700101000001Z"), Some(Duration::from_secs(1)));
        assert_eq!(seconds(UTC_TIME, "490101000000Z"), seconds(GENERALIZED_TIME, "20490101000000Z"));
        for text in ["", "Z", "70010100000Z", "701301000000Z", "700101000000", "7001é1000000Z"] {
            assert_eq!(seconds(UTC_TIME, text), None, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let bytes = certificate.der().as_ref();
        assert_eq!(read(bytes).unwrap().hosts, ["a.example"]);
        for end in 0..bytes.len() {
            // Must end, and not by a panic.
            let _ = read(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for byte in [0, 0x30, 0x80, 0x84, 0xff] {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                let _ = read(&changed);
            }
        }
        assert!(read(&[]).is_none() && read(&bytes[..bytes.len() / 2]).is_none());
    }
}
