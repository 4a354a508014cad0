//! Sessions of browsers: a page can't add a header to every request, so the token that somebody has logged in with comes
//! back in a cookie. It is sealed: cookies of a host go to all of its ports, and other programs there must not learn the
//! token. Nothing is kept here, so that a session outlives a restart, and a token that is revoked ends its sessions. All
//! coordinators of a fleet have one key, so that a session holds at each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// How long nobody has to log in again.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// The longest token that can become a session, bytes: browsers keep cookies of 4 KiB.
const MAX_TOKEN_BYTES: usize = 1536;

/// What sessions are sealed with.
pub type SessionKey = [u8; 32];

/// A key that nobody knows.
///
/// # Errors
/// [`ErrorCode::Internal`] where the system gives no random bytes.
pub fn new_session_key() -> Result<SessionKey, Error> {
    let mut key = SessionKey::default();
    SystemRandom::new().fill(&mut key).map_err(no_random)?;
    Ok(key)
}

fn no_random(_: ring::error::Unspecified) -> Error {
    Error::internal("the random numbers of the system can't be had")
}

/// Seals tokens into cookies, and opens them.
pub struct SessionKeeper {
    key: LessSafeKey,
    random: SystemRandom,
    /// Of the cookie: cookies of a host go to all of its ports, and fleets on one host have their own.
    name: String,
    /// The port has TLS.
    secure: bool,
}

impl std::fmt::Debug for SessionKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKeeper").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SessionKeeper {
    /// With the fleet's key.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] where there is no AES-256-GCM.
    pub fn new(key: &SessionKey, secure: bool) -> Result<Self, Error> {
        let unusable = |_| Error::internal("the key of sessions can't be used");
        let name = format!("udfleet_session_{}", hex::encode(&Sha256::digest(key)[..4]));
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(unusable)?);
        Ok(Self { key, random: SystemRandom::new(), name, secure })
    }

    /// The value of `Set-Cookie` for who has logged in with this token.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a token that no cookie can hold.
    pub fn start(&self, token: &str, now: SystemTime) -> Result<String, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            let text = format!("a token of {} bytes, at most {MAX_TOKEN_BYTES} fit into a session", token.len());
            return Err(Error::new(ErrorCode::InvalidInput, text));
        }
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(no_random)?;
        let mut text = (seconds(now) + SESSION.as_secs()).to_be_bytes().to_vec();
        text.extend_from_slice(token.as_bytes());
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        let unsealed = |_| Error::internal("the session can't be sealed");
        self.key.seal_in_place_append_tag(nonce_of, Aad::empty(), &mut text).map_err(unsealed)?;
        let sealed = hex::encode([&nonce[..], &text].concat());
        Ok(self.cookie(&sealed, SESSION.as_secs()))
    }

    /// The value of `Set-Cookie` for who logs out.
    #[must_use]
    pub fn end(&self) -> String {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, seconds: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", self.name)
    }

    /// The token that a request's session was begun with; none where it has no session, or one that has ended.
    #[must_use]
    pub fn token(&self, headers: &HeaderMap, now: SystemTime) -> Option<String> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|all| all.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let sealed = cookies.find(|(name, _)| *name == self.name)?.1;
        let mut sealed = hex::decode(sealed).ok()?;
        let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.open_in_place(nonce, Aad::empty(), text).ok()?;
        let (ends, token) = text.split_first_chunk::<8>()?;
        (seconds(now) < u64::from_be_bytes(*ends)).then(|| String::from_utf8(token.to_vec()).ok())?
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers
    }

    fn pair(cookie: &str) -> &str {
        cookie.split_once(';').unwrap().0
    }

    #[test]
    fn a_session_holds_at_each_coordinator_and_ends_in_time() {
        let key = new_session_key().unwrap();
        let keeper = SessionKeeper::new(&key, false).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let cookie = keeper.start("s3cret", now).unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
        assert!(!cookie.contains("s3cret"));
        let again = SessionKeeper::new(&key, true).unwrap();
        let shown = headers(&format!("other=1; {}", pair(&cookie)));
        assert_eq!(again.token(&shown, now).as_deref(), Some("s3cret"));
        assert_eq!(again.token(&shown, now + SESSION), None, "it has ended");
        assert!(again.end().ends_with("; Secure") && again.end().contains("Max-Age=0"));
        let other = SessionKeeper::new(&new_session_key().unwrap(), true).unwrap();
        assert_eq!(other.token(&shown, now), None, "of another fleet");
        let renamed = format!("{}={}", other.name, pair(&cookie).split_once('=').unwrap().1);
        assert_eq!(other.token(&headers(&renamed), now), None, "sealed by another");
    }

    #[test]
    fn what_is_no_cookie_of_ours_is_nobody() {
        let keeper = SessionKeeper::new(&new_session_key().unwrap(), false).unwrap();
        let now = SystemTime::now();
        let cookie = keeper.start("token", now).unwrap();
        let (whole, name) = (pair(&cookie), &keeper.name);
        for bad in ["", &format!("{name}="), &format!("{name}=zz"), &format!("{name}=00"), &whole[..whole.len() - 2]] {
            assert_eq!(keeper.token(&headers(bad), now), None, "{bad:?}");
        }
        assert_eq!(keeper.token(&HeaderMap::new(), now), None);
        assert_eq!(keeper.start(&"x".repeat(2000), now).unwrap_err().code(), ErrorCode::InvalidInput);
    }
}
