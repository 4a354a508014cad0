//! What has to hold in every world.

use super::schedule::Step;
use super::world::{BUNDLES, World};

/// What is wrong with a world.
#[derive(Debug)]
pub enum Violation {
    /// The store has a bundle twice, or not in order.
    AppliedTwice,
    /// A client has released what is not committed, or not as it is.
    ReleasedUncommitted,
    /// Results of one bundle were released twice.
    ReleasedTwice,
    /// Results were never released, and more of them than clients were lost.
    ResultsLost,
    /// The last client to open the stream was refused for good.
    WrongRefusal,
    /// Nothing goes wrong any more, and the stream does not come to its end.
    Stuck,
}

/// No stream takes as many steps to its end.
const STEPS_TO_END: usize = 300;

impl World {
    pub fn check(&self) -> Result<(), Violation> {
        self.check_safe()?;
        if self.is_silent() { self.check_ends() } else { Ok(()) }
    }

    fn check_safe(&self) -> Result<(), Violation> {
        for (index, (attempt, _)) in self.store.applied.iter().enumerate() {
            if attempt.bundle != index as u64 + 1 {
                return Err(Violation::AppliedTwice);
            }
        }
        for (index, (session, attempt, digest)) in self.released.iter().enumerate() {
            if !self.store.applied.contains(&(*attempt, *session)) {
                return Err(Violation::ReleasedUncommitted);
            }
            let record = &self.store.record;
            if record.bundle == attempt.bundle && record.digest != *digest {
                return Err(Violation::ReleasedUncommitted);
            }
            if self.released[..index].iter().any(|(_, earlier, _)| earlier.bundle == attempt.bundle) {
                return Err(Violation::ReleasedTwice);
            }
        }
        if self.disagreement { Err(Violation::WrongRefusal) } else { Ok(()) }
    }

    /// From here on nothing goes wrong: the stream has to come to its end.
    fn check_ends(&self) -> Result<(), Violation> {
        let mut world = self.clone();
        for _ in 0..STEPS_TO_END {
            let last = world.clients.len() - 1;
            if world.is_silent() && world.is_done(last) {
                return world.check_end();
            }
            let newest = world.owners.len() - 1;
            let mut steps = world.usual_steps();
            steps.retain(|step| !matches!(step, Step::Ask { owner, .. } if *owner != newest));
            steps.truncate(1);
            if steps.is_empty() {
                steps = world.steps_of_silence();
            }
            for step in steps {
                world.take(step);
                world.check_safe()?;
            }
        }
        Err(Violation::Stuck)
    }

    fn check_end(&self) -> Result<(), Violation> {
        let applied = self.store.applied.len() as u64;
        let released = self.released.len() as u64;
        if applied != BUNDLES {
            return Err(Violation::AppliedTwice);
        }
        if released + self.clients_lost < applied { Err(Violation::ResultsLost) } else { Ok(()) }
    }
}
