//! What every process needs of the system: programs and libraries, names, time zones and certificates. Nothing in it is
//! secret, and keys that lie beside certificates are not part of it.

use std::path::PathBuf;

/// Read and run.
const READABLE: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    // The loader, users and groups, names of hosts.
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/alternatives",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/protocols",
    "/etc/services",
    "/run/systemd/resolve",
    // Time and language.
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/default/locale",
    // Certificates of authorities.
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/etc/ca-certificates",
    "/var/lib/ca-certificates",
    // What libraries look at.
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/mime.types",
    "/etc/magic",
    "/etc/fonts",
    "/etc/OpenCL",
    "/etc/vulkan",
    "/etc/python3",
    "/etc/python3.9",
    "/etc/python3.10",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/python3.13",
    "/etc/terminfo",
    "/etc/uv",
    // The machine.
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/version",
    "/proc/vmstat",
    "/proc/filesystems",
    "/proc/sys",
    "/proc/driver/nvidia",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/sys/bus",
    "/sys/class",
    "/sys/module",
    "/sys/kernel/mm",
];

/// Read and write.
const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm", "/dev/dri", "/dev/kfd"];

/// Variables that name certificates in other places.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Paths that may be read.
pub(super) fn readable() -> impl Iterator<Item = PathBuf> {
    let certificates = CERTIFICATES.iter().filter_map(std::env::var_os).map(PathBuf::from);
    READABLE.iter().map(PathBuf::from).chain(certificates)
}

/// Devices that may be used: those that hold nothing, and GPUs.
pub(super) fn devices() -> impl Iterator<Item = PathBuf> {
    let all = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let nvidia = all.filter(|entry| entry.file_name().to_string_lossy().starts_with("nvidia"));
    DEVICES.iter().map(PathBuf::from).chain(nvidia.map(|entry| entry.path()))
}
