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
        let state = self.0.lock().get(&token).cloned();
        match state {
            Some(state) => state.answer(request).await,
            None => StateAnswer::Failed("keyed state can be used while a row is processed, and not later".to_owned()),
        }
    }
}

/// Answers an interpreter until it ends, or sends what is no request.
pub(super) async fn serve(mut socket: UnixStream, bundles: Arc<RunningBundles>) {
    let mut request = Vec::new();
    loop {
        match receive(&mut socket, &mut request).await {
            Ok(()) => {}
            Err(error) => {
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    tracing::warn!(%error, "an interpreter is not answered about keyed state any more");
                }
                return;
            }
        }
        let answer = encode(&bundles.answer(&request).await);
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn receive(socket: &mut UnixStream, request: &mut Vec<u8>) -> io::Result<()> {
    let length = socket.read_u32_le().await? as usize;
    if length > MAX_REQUEST {
        return Err(io::Error::other(format!("a request of {length} bytes, and {MAX_REQUEST} are the most")));
    }
    request.clear();
    let read = socket.take(length as u64).read_to_end(request).await?;
    if read == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
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
    async fn an_endless_request_ends_the_conversation() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let served = tokio::spawn(serve(theirs, Arc::default()));
        ours.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
        served.await.unwrap();
        assert!(ours.read_u32_le().await.is_err());
    }
}
