//! The coordinators of the fleet as places to fetch from: definitions and files are the same at all of them.

use parking_lot::Mutex;
use tonic::transport::Channel;

/// Connections by address. Whoever fetches takes the one that has told this executor what to hold, unless that fails.
pub struct Coordinators {
    known: Mutex<Known>,
}

struct Known {
    channels: Vec<(String, Channel)>,
    /// The one to ask now.
    turn: usize,
}

impl Coordinators {
    /// One at first.
    #[must_use]
    pub fn new(address: &str, channel: Channel) -> Self {
        Self { known: Mutex::new(Known { channels: vec![(address.to_owned(), channel)], turn: 0 }) }
    }

    /// The connection to ask now.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let known = self.known.lock();
        known.channels[known.turn % known.channels.len()].1.clone()
    }

    /// How many there are; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.lock().channels.len()
    }

    /// It could not be had from the one that was asked: the next is.
    pub fn pass_over(&self) {
        let mut known = self.known.lock();
        known.turn = (known.turn + 1) % known.channels.len();
    }

    /// This one knows what this executor is to hold.
    pub fn prefer(&self, address: &str) {
        let mut known = self.known.lock();
        if let Some(at) = known.channels.iter().position(|(held, _)| held == address) {
            known.turn = at;
        }
    }

    /// One more.
    pub fn add(&self, address: &str, channel: &Channel) {
        let mut known = self.known.lock();
        if known.channels.iter().all(|(held, _)| held != address) {
            known.channels.push((address.to_owned(), channel.clone()));
        }
    }

    /// One that is no coordinator of the fleet any more. The last one stays.
    pub fn remove(&self, address: &str) {
        let mut known = self.known.lock();
        if known.channels.len() > 1 {
            known.channels.retain(|(held, _)| held != address);
            known.turn = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_fails_is_passed_over_and_the_leader_is_preferred() {
        let channel = || Channel::from_static("http://127.0.0.1:1").connect_lazy();
        let all = Coordinators::new("a", channel());
        let turn = || all.known.lock().turn;
        all.pass_over();
        assert_eq!(turn(), 0, "there is only one");
        all.add("b", &channel());
        all.add("b", &channel());
        all.pass_over();
        assert_eq!(turn(), 1);
        all.pass_over();
        all.prefer("b");
        assert_eq!(turn(), 1);
        all.remove("b");
        all.remove("a");
        assert_eq!((turn(), all.known.lock().channels.len()), (0, 1));
    }
}
