//! Forks of user code. The child has a copy of everything: the control socket, the shared memory, and us in the middle
//! of a command. It must touch none of that: whatever user code does there (returns, raises, `sys.exit`), the child ends by
//! `_exit` as soon as control comes back to us, with the status that a script would have. Children that never come back
//! (`multiprocessing`, `subprocess` with `preexec_fn`) do not notice.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::channel::{CONTROL, STATE};

static OWNER: OnceLock<libc::pid_t> = OnceLock::new();
static FORKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The columns over which a `map` of ours calls user code.
    static COLUMNS: RefCell<Vec<Py<PyList>>> = const { RefCell::new(Vec::new()) };
}

fn pid() -> libc::pid_t {
    // SAFETY: a system call without arguments.
    unsafe { libc::getpid() }
}

/// Notes that this process is the interpreter, and has children of it marked.
pub fn watch(py: Python<'_>) -> PyResult<()> {
    OWNER.get_or_init(pid);
    let options = PyDict::new(py);
    options.set_item("after_in_child", wrap_pyfunction!(forked, py)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&options)).map(drop)
}

/// Runs in the child, before user code goes on there.
#[pyfunction]
fn forked(py: Python<'_>) {
    FORKED.store(true, Ordering::Relaxed);
    // SAFETY: the numbers of the executor's sockets, which nobody uses in this process any more.
    unsafe {
        libc::close(CONTROL);
        libc::close(STATE);
    }
    // CPython's loop would go on with the next rows: without columns it ends when user code returns.
    COLUMNS.with_borrow(|columns| columns.iter().for_each(|column| clear(column.bind(py))));
}

fn clear(column: &Bound<'_, PyList>) {
    // Can't fail: the list is ours and its whole range is named.
    let _ = column.del_slice(0, column.len());
}

/// While it lives, a loop of CPython's runs over these columns.
pub struct Loop(usize);

impl Loop {
    /// Over those that are lists.
    pub fn over<'a, 'py: 'a>(columns: impl IntoIterator<Item = &'a Bound<'py, PyAny>>) -> Self {
        COLUMNS.with_borrow_mut(|held| {
            let before = held.len();
            let lists = columns.into_iter().filter_map(|column| column.cast::<PyList>().ok());
            held.extend(lists.map(|list| list.clone().unbind()));
            Self(before)
        })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The references go outside the borrow: what they free may run user code.
        drop(COLUMNS.with_borrow_mut(|held| held.split_off(self.0)));
    }
}

/// Ends a child that Python's own `fork` made, where user code has returned, or raised what is given: cheap enough for
/// every call.
pub fn end_if_forked(py: Python<'_>, error: Option<&PyErr>) {
    if FORKED.load(Ordering::Relaxed) {
        end(py, error);
    }
}

/// The same for code of ours in Python, which knows by itself that it is in a child.
#[pyfunction]
#[pyo3(signature = (error))]
pub fn end_child(py: Python<'_>, error: Option<Bound<'_, PyAny>>) {
    end(py, error.map(PyErr::from_value).as_ref());
}

/// Ends a child, whoever forked.
pub fn end_if_child(py: Python<'_>, error: Option<&PyErr>) {
    if OWNER.get().is_some_and(|owner| *owner != pid()) {
        end(py, error);
    }
}

/// As a script ends: by what `sys.exit` was given, or with the traceback of another exception.
fn end(py: Python<'_>, error: Option<&PyErr>) -> ! {
    let status = match error {
        None => 0,
        Some(error) if error.is_instance_of::<PySystemExit>(py) => exit_status(error.value(py)),
        Some(error) => {
            error.display(py);
            1
        }
    };
    if let Ok(sys) = py.import("sys") {
        for stream in ["stdout", "stderr"] {
            // What can't be flushed is lost, as at the end of any process.
            let _ = sys.getattr(stream).and_then(|stream| stream.call_method0("flush"));
        }
    }
    // SAFETY: ends the process without any handler of the interpreter that it was forked from.
    unsafe { libc::_exit(status) }
}

fn exit_status(exit: &Bound<'_, pyo3::exceptions::PyBaseException>) -> i32 {
    let Ok(code) = exit.getattr("code") else { return 1 };
    if code.is_none() {
        return 0;
    }
    code.extract::<i32>().unwrap_or_else(|_| {
        eprintln!("{}", code.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default());
        1
    })
}
