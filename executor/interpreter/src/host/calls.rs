//! seccomp: system calls that no function needs, and that reach beyond its process or into the kernel's rarely used parts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};

use crate::options::{Containment, Network};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Built<T> = Result<T, seccompiler::BackendError>;

/// Refused with EPERM, whatever their arguments.
const REFUSED: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Namespaces and file systems.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Answered with ENOSYS, upon which libraries use what these replace: `clone3` has its flags in memory, where a filter
/// can't see them, and io_uring does what other calls are refused for.
const UNKNOWN: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// `clone` with one of these makes namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u64;

/// Sends with the connection's first packet.
const FAST_OPEN: u64 = libc::MSG_FASTOPEN as u64;

/// Puts the filters in force. `no_new_privs` is set.
pub fn restrict(containment: &Containment) -> Result<(), String> {
    if containment.without_seccomp {
        return Err("it is turned off".to_owned());
    }
    for program in programs(&containment.network).map_err(|e| e.to_string())? {
        apply_filter(&program).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn programs(network: &Network) -> Built<[BpfProgram; 2]> {
    let mut refused: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let each: Built<Vec<SeccompRule>> = (0..u64::BITS)
        .map(|bit| 1 << bit)
        .filter(|flag| NAMESPACES & flag != 0)
        .map(|flag| when(&[(0, Compare::MaskedEq(flag), flag)]))
        .collect();
    refused.insert(libc::SYS_clone, each?);
    refused.insert(libc::SYS_socket, sockets(network)?);
    if *network != Network::All {
        // Connects without asking Landlock on some kernels.
        let at_once = |flags| when(&[(flags, Compare::MaskedEq(FAST_OPEN), FAST_OPEN)]);
        refused.insert(libc::SYS_sendto, vec![at_once(3)?]);
        refused.insert(libc::SYS_sendmsg, vec![at_once(2)?]);
        refused.insert(libc::SYS_sendmmsg, vec![at_once(3)?]);
    }
    let unknown: Rules = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    Ok([filter(refused, libc::EPERM)?, filter(unknown, libc::ENOSYS)?])
}

/// All of these conditions, each on an argument.
fn when(conditions: &[(u8, Compare, u64)]) -> Built<SeccompRule> {
    let conditions = conditions
        .iter()
        .map(|(argument, compare, value)| SeccompCondition::new(*argument, Length::Dword, compare.clone(), *value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// The sockets that are refused. Landlock bounds TCP, and knows nothing of UDP.
fn sockets(network: &Network) -> Built<Vec<SeccompRule>> {
    const KIND: u64 = 0xf;
    let [unix, ip4, ip6, netlink] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(|f| f as u64);
    let but = |families: &[u64]| when(&families.iter().map(|family| (0, Compare::Ne, *family)).collect::<Vec<_>>());
    // Of netlink, only what lists network interfaces.
    let mut refused = vec![when(&[(0, Compare::Eq, netlink), (2, Compare::Ne, libc::NETLINK_ROUTE as u64)])?];
    match network {
        Network::All => refused.push(but(&[unix, ip4, ip6, netlink])?),
        Network::None => refused.push(but(&[unix, netlink])?),
        Network::Ports(ports) => {
            refused.push(but(&[unix, ip4, ip6, netlink])?);
            for family in [ip4, ip6] {
                let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM].map(|kind| kind as u64);
                let allowed = if ports.contains(&53) { &kinds[..] } else { &kinds[..1] };
                let others = allowed.iter().map(|kind| (1, Compare::MaskedEq(KIND), *kind));
                refused.extend(not_among(family, &others.collect::<Vec<_>>())?);
                // SCTP and others look like TCP by their kind.
                refused.push(when(&[
                    (0, Compare::Eq, family),
                    (2, Compare::Ne, 0),
                    (2, Compare::Ne, libc::IPPROTO_TCP as u64),
                    (2, Compare::Ne, libc::IPPROTO_UDP as u64),
                ])?);
            }
        }
    }
    Ok(refused)
}

/// Sockets of a family whose kind is none of these: conditions know equality under a mask, not its opposite, so that the
/// other kinds are listed.
fn not_among(family: u64, allowed: &[(u8, Compare, u64)]) -> Built<Vec<SeccompRule>> {
    const KINDS: std::ops::RangeInclusive<u64> = 1..=10;
    let others = KINDS.filter(|kind| allowed.iter().all(|(_, _, value)| value != kind));
    others.map(|kind| when(&[(0, Compare::Eq, family), (1, Compare::MaskedEq(0xf), kind)])).collect()
}

fn filter(rules: Rules, errno: libc::c_int) -> Built<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into()?;
    let action = SeccompAction::Errno(errno as u32);
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()?;
    Ok(if cfg!(target_arch = "x86_64") { without_x32(program) } else { program })
}

/// On x86-64 every system call has a second number, above this bit: all of those are answered with ENOSYS.
fn without_x32(program: BpfProgram) -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    const LOAD_NUMBER: sock_filter = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    const BELOW_SKIPS_ONE: sock_filter = sock_filter { code: 0x35, jt: 0, jf: 1, k: X32 };
    const ENOSYS: sock_filter = sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | libc::ENOSYS as u32 };
    [LOAD_NUMBER, BELOW_SKIPS_ONE, ENOSYS].into_iter().chain(program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_compiles() {
        for network in [Network::All, Network::None, Network::Ports(vec![443]), Network::Ports(vec![53])] {
            assert!(programs(&network).unwrap().iter().all(|program| !program.is_empty()));
        }
    }
}
