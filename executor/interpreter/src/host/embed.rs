//! Enters CPython as if the environment's `bin/python` had been started, so that `sys.prefix` and site-packages are the
//! environment's.

use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

/// Name under which CPython knows the module; `PyInit_` plus this is its entry point.
const MODULE_NAME: &std::ffi::CStr = c"_udfleet_interpreter";

const BUILT_IN_START: &str = "import _udfleet_interpreter as m; m.main()";

const FILE_START: &str = "\
import sys, importlib.machinery as i, importlib.util as u
l = i.ExtensionFileLoader('_udfleet_interpreter', sys.argv[1])
m = u.module_from_spec(u.spec_from_loader('_udfleet_interpreter', l))
sys.modules['_udfleet_interpreter'] = m
l.exec_module(m)
m.main()";

/// Runs the interpreter; gives its exit status. LIBPYTHON `-` means that this Python has no shared library: its own
/// executable takes over and loads the same module.
pub fn enter(module: &OsString, libpython: &OsString, python: &OsString) -> Result<c_int, String> {
    if libpython == "-" {
        let error = std::process::Command::new(python).args(["-I", "-X", "utf8", "-c", FILE_START]).arg(module).exec();
        return Err(format!("can't start {}: {error}", python.display()));
    }
    embed(module, libpython, python)
}

/// Enters the CPython of `libpython`. The libraries stay loaded until the process ends.
fn embed(module: &OsString, libpython: &OsString, python: &OsString) -> Result<c_int, String> {
    // Rust's own handlers swallow a first SIGSEGV that some code raises: here it must end the process, as in any Python.
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: a system call that sets the default action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let load = |path: &OsString, visibility| {
        // SAFETY: the initialisers of libpython and of our own module have no preconditions.
        unsafe { Library::open(Some(path), RTLD_NOW | visibility) }
            .map_err(|e| format!("can't load {}: {e}", path.display()))
    };
    // Extension modules of the environment look libpython's symbols up globally.
    let libpython = load(libpython, RTLD_GLOBAL)?;
    let module = load(module, RTLD_LOCAL)?;
    type Init = unsafe extern "C" fn() -> *mut c_void;
    type AppendInittab = unsafe extern "C" fn(*const c_char, Init) -> c_int;
    type BytesMain = unsafe extern "C" fn(c_int, *mut *mut c_char) -> c_int;
    // SAFETY: these are the documented signatures of CPython's C API and of a module's entry point.
    let (init, append, bytes_main) = unsafe {
        let missing = |e: libloading::Error| format!("not a usable Python: {e}");
        (
            *module.get::<Init>(b"PyInit__udfleet_interpreter").map_err(missing)?,
            *libpython.get::<AppendInittab>(b"PyImport_AppendInittab").map_err(missing)?,
            *libpython.get::<BytesMain>(b"Py_BytesMain").map_err(missing)?,
        )
    };
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|e| e.to_string());
    let arguments = [
        text(python.as_bytes())?,
        text(b"-I")?,
        text(b"-X")?,
        text(b"utf8")?,
        text(b"-c")?,
        text(BUILT_IN_START.as_bytes())?,
    ];
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|a| a.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    // SAFETY: called before Python starts, with a static name; argv is null-terminated and outlives the call.
    let status = unsafe {
        if append(MODULE_NAME.as_ptr(), init) != 0 {
            return Err("no memory to register the module".to_owned());
        }
        bytes_main(arguments.len() as c_int, pointers.as_mut_ptr())
    };
    std::mem::forget((libpython, module));
    Ok(status)
}
