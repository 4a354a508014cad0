//! Results of general functions in this command as Python values: the next function of the stage gets these instead of
//! new ones made from the column.

use std::cell::RefCell;
use std::sync::Arc;

use arrow_array::ArrayRef;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// The columns that are remembered at once.
const MOST: usize = 8;

/// Columns with the values that they were made of; only where these are what the column would be converted to.
#[derive(Default)]
pub struct ValueCache {
    latest: RefCell<Vec<(ArrayRef, Py<PyList>)>>,
}

impl ValueCache {
    /// Remembers a column.
    pub fn remember(&self, column: &ArrayRef, values: &Bound<'_, PyList>) {
        let mut latest = self.latest.borrow_mut();
        if latest.len() == MOST {
            latest.remove(0);
        }
        latest.push((Arc::clone(column), values.clone().unbind()));
    }

    /// The values of that very column.
    pub fn get<'py>(&self, py: Python<'py>, column: &ArrayRef) -> Option<Bound<'py, PyList>> {
        let latest = self.latest.borrow();
        let found = latest.iter().find(|(cached, _)| Arc::ptr_eq(cached, column));
        found.map(|(_, values)| values.bind(py).clone())
    }
}
