//! The functions that are loaded in this interpreter.

use std::collections::HashMap;
use std::rc::Rc;

use udfleet_proto::error::Error;

use crate::function::Function;

/// By number.
#[derive(Default)]
pub struct Functions(HashMap<u32, Rc<Function>>);

impl Functions {
    /// Where it is loaded.
    pub fn get(&self, number: u32) -> Option<&Rc<Function>> {
        self.0.get(&number)
    }

    /// One that must be loaded.
    pub fn need(&self, number: u32) -> Result<&Rc<Function>, Error> {
        self.get(number).ok_or_else(|| Error::internal(format!("function {number} is not loaded here")))
    }

    /// Several that must be loaded.
    pub fn all(&self, numbers: &[u32]) -> Result<Vec<Rc<Function>>, Error> {
        numbers.iter().map(|number| self.need(*number).cloned()).collect()
    }

    /// Takes one in.
    pub fn insert(&mut self, function: Function) {
        self.0.insert(function.number, Rc::new(function));
    }

    /// Takes one out.
    pub fn remove(&mut self, number: u32) -> Option<Rc<Function>> {
        self.0.remove(&number)
    }

    /// All numbers.
    pub fn numbers(&self) -> Vec<u32> {
        self.0.keys().copied().collect()
    }
}
