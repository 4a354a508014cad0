//! Tells what of the containment this machine gives.

use crate::options::Containment;
use crate::{calls, files, privileges};

/// One line, `name=value` pairs: the version of Landlock, 0 without; whether there is seccomp and, of the user asked for,
/// whether it can be taken on. The process is contained afterwards.
pub fn level(containment: &Containment) -> String {
    let landlock = files::version();
    let user = containment.user.is_some() && privileges::drop_all(containment.user).is_ok();
    let no_new_privs = user || privileges::drop_all(None).is_ok();
    let enforced = files::restrict(containment).is_ok();
    let seccomp = calls::restrict(containment).is_ok();
    format!(
        "landlock={} seccomp={} no_new_privs={} user={}",
        if enforced { landlock } else { 0 },
        u8::from(seccomp),
        u8::from(no_new_privs),
        u8::from(user)
    )
}
