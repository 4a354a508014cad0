//! Keyed state on the link: while a bundle runs, its function asks over a socket of its own, and is answered. Requests are of
//! any size, so they do not go with the control messages.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::state_wire::{StateAnswer, StateRequest, decode, encode};

/// The most bytes of one request.
const MAX_REQUEST: usize = 64 << 20;

/// Holds the state that a running bundle sees.
#[tonic::async_trait]
pub trait BundleState: Send + Sync {
    /// Answers the bundle's function.
    async fn answer(&self, request: StateRequest) -> StateAnswer;

    /// Answers a request that is longer than any may be, and was not read.
    fn too_long(&self) -> StateAnswer;
}

/// The bundles that run in the interpreters of this executor, by the number that each was sent with.
#[derive(Default)]
pub struct RunningBundles(Mutex<HashMap<u64, Arc<dyn BundleState>>>);

impl std::fmt::Debug for RunningBundles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RunningBundles").field(&self.0.lock().len()).finish()
    }
}

/// A bundle that runs: its function can ask until this is dropped.
#[derive(Debug)]
pub struct RunningBundle {
    /// What the function shows. It is random: code in another interpreter can't guess it.
    pub token: u64,
    bundles: Arc<RunningBundles>,
}

impl Drop for RunningBundle {
    fn drop(&mut self) {
        self.bundles.0.lock().remove(&self.token);
    }
}

impl RunningBundles {
    /// Lets the function of a bundle ask.
    #[must_use]
    pub fn begin(self: &Arc<Self>, state: Arc<dyn BundleState>) -> RunningBundle {
        let token = rand::random();
        self.0.lock().insert(token, state);
        RunningBundle { token, bundles: Arc::clone(self) }
    }

    async fn answer(&self, request: &[u8]) -> StateAnswer {
        let (token, request) = match decode(request) {
            Ok(decoded) => decoded,
            Err(malformed) => return StateAnswer::Failed(malformed.to_string()),
        };
        match self.of(token) {
            Some(state) => state.answer(request).await,
            None => no_bundle(),
        }
    }

    fn of(&self, token: u64) -> Option<Arc<dyn BundleState>> {
        self.0.lock().get(&token).cloned()
    }
}

fn no_bundle() -> StateAnswer {
    StateAnswer::Failed("keyed state can be used while a row is processed, and not later".to_owned())
}

/// What an interpreter has sent.
enum Received {
    Request,
    /// Too much to be read, with the token of a bundle. It is skipped, so that the interpreter can go on.
    TooLong(u64),
}

/// Answers an interpreter until it ends.
pub(super) async fn serve(mut socket: UnixStream, bundles: Arc<RunningBundles>) {
    let mut request = Vec::new();
    loop {
        let answer = match receive(&mut socket, &mut request).await {
            Ok(Received::Request) => bundles.answer(&request).await,
            Ok(Received::TooLong(token)) => bundles.of(token).map_or_else(no_bundle, |state| state.too_long()),
            Err(error) => {
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    tracing::warn!(%error, "an interpreter is not answered about keyed state any more");
                }
                return;
            }
        };
        if socket.write_all(&encode(&answer)).await.is_err() {
            return;
        }
    }
}

async fn receive(socket: &mut UnixStream, request: &mut Vec<u8>) -> io::Result<Received> {
    let length = u64::from(socket.read_u32_le().await?);
    if length > MAX_REQUEST as u64 {
        let token = socket.read_u64_le().await?;
        let rest = length - size_of::<u64>() as u64;
        let skipped = tokio::io::copy(&mut socket.take(rest), &mut tokio::io::sink()).await?;
        return if skipped == rest { Ok(Received::TooLong(token)) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    }
    request.clear();
    let read = socket.take(length).read_to_end(request).await?;
    if read as u64 == length { Ok(Received::Request) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    #[tonic::async_trait]
    impl BundleState for Echo {
        async fn answer(&self, request: StateRequest) -> StateAnswer {
            match request {
                StateRequest::Read(keys) => StateAnswer::Values(keys.into_iter().map(|key| Some(key.into())).collect()),
                _ => StateAnswer::Written,
            }
        }

        fn too_long(&self) -> StateAnswer {
            StateAnswer::Failed("too long".to_owned())
        }
    }

    async fn ask(socket: &mut UnixStream, token: u64, key: &[u8]) -> Vec<u8> {
        let mut request = token.to_le_bytes().to_vec();
        request.extend(b"\x01\x01\0\0\0");
        request.extend((key.len() as u32).to_le_bytes());
        request.extend(key);
        socket.write_all(&(request.len() as u32).to_le_bytes()).await.unwrap();
        socket.write_all(&request).await.unwrap();
        let mut answer = vec![0; socket.read_u32_le().await.unwrap() as usize];
        socket.read_exact(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_bundle_is_answered_while_it_runs() {
        let bundles = Arc::<RunningBundles>::default();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let served = tokio::spawn(serve(theirs, Arc::clone(&bundles)));
        let running = bundles.begin(Arc::new(Echo));
        let large = vec![b'k'; 300_000];
        for key in [b"a".as_slice(), &large] {
            let answer = ask(&mut ours, running.token, key).await;
            assert_eq!((answer[0], answer[1], &answer[6..]), (0, 1, key));
        }
        assert_eq!(ask(&mut ours, running.token.wrapping_add(1), b"a").await[0], 1, "another bundle's");
        let token = running.token;
        drop(running);
        assert_eq!(ask(&mut ours, token, b"a").await[0], 1, "it has ended");
        drop(ours);
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_is_too_long_is_skipped_and_the_next_one_answered() {
        let bundles = Arc::<RunningBundles>::default();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let served = tokio::spawn(serve(theirs, Arc::clone(&bundles)));
        let running = bundles.begin(Arc::new(Echo));
        let large = vec![b'k'; MAX_REQUEST];
        assert_eq!(ask(&mut ours, running.token, &large).await, b"\x01too long");
        assert_eq!(ask(&mut ours, running.token.wrapping_add(1), &large).await[0], 1, "another bundle's");
        assert_eq!(ask(&mut ours, running.token, b"a").await, b"\0\x01\x01\0\0\0a");
        drop(ours);
        served.await.unwrap();
    }
}
