//! Stages by the number that the executor gave them.

use std::collections::HashMap;
use std::rc::Rc;

use super::Stage;

/// Beyond this many stages the table is cleared, and the executor sends them again.
const MAX: usize = 512;

/// What the executor has sent, and stages made of single functions.
#[derive(Default)]
pub struct Stages {
    sent: HashMap<u32, Rc<Stage>>,
}

impl Stages {
    /// The stage of this number, if it is known.
    pub fn get(&self, number: u32) -> Option<Rc<Stage>> {
        self.sent.get(&number).cloned()
    }

    /// Remembers a stage.
    pub fn insert(&mut self, number: u32, stage: Stage) -> Rc<Stage> {
        if self.sent.len() >= MAX {
            self.sent.clear();
        }
        let stage = Rc::new(stage);
        self.sent.insert(number, Rc::clone(&stage));
        stage
    }

    /// Forgets stages that use a function.
    pub fn forget(&mut self, function: u32) {
        self.sent.retain(|_, stage| !stage.functions.contains(&function));
    }
}
