//! What can keep an engine from starting, in words that name the part and the system's own reason.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The configuration contradicts itself; the reader of the file should have refused it.
    #[error("{0}")]
    Config(String),
    /// The system refused a socket.
    #[error("{what}: {} ({}){}", text(.source), errno_name(.source.raw_os_error().unwrap_or(0)), advice(.source))]
    Open { what: String, source: io::Error },
    /// The packet thread is gone.
    #[error("the packet thread has ended: {0}")]
    Ended(String),
}

impl EngineError {
    pub(crate) fn open(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Open { what, source }
    }
}

/// The system's text without Rust's "(os error N)".
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => "; `ip link` lists the interfaces",
        Some(libc::EADDRINUSE) => {
            "; another process, or another line of this file, listens there: `ss -ulpn` shows it"
        }
        Some(libc::EADDRNOTAVAIL) => "; `ip address` lists this host's addresses",
        Some(libc::ENOBUFS) => "; raise net.ipv4.igmp_max_memberships or igmp_max_msf",
        Some(libc::EACCES | libc::EPERM) => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        Some(libc::EMFILE) => "; raise the limit of open files (`ulimit -n`)",
        _ => "",
    }
}

/// The symbolic name of an errno that sockets give, or `errno`.
#[must_use]
pub fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::EACCES => "EACCES",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::EAGAIN => "EAGAIN",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTDOWN => "EHOSTDOWN",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EMFILE => "EMFILE",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ENOBUFS => "ENOBUFS",
        libc::ENODEV => "ENODEV",
        libc::ENOMEM => "ENOMEM",
        libc::ENOPROTOOPT => "ENOPROTOOPT",
        libc::ENXIO => "ENXIO",
        libc::EPERM => "EPERM",
        libc::EPROTO => "EPROTO",
        _ => "errno",
    }
}
