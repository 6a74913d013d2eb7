//! bpf(2): a map, a program and its link to an interface, each wrapped once. All of it goes with the process.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::system::checked;

/// Commands, types and attach types of include/uapi/linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEMENT: libc::c_int = 1;
const MAP_UPDATE_ELEMENT: libc::c_int = 2;
const MAP_DELETE_ELEMENT: libc::c_int = 3;
const PROGRAM_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const MAP_TYPE_HASH: u32 = 1;
const PROGRAM_TYPE_SCHED_CLS: u32 = 3;
const ATTACH_TCX_EGRESS: u32 = 47;

/// The part of `union bpf_attr` that this module uses; the kernel wants what it does not know to be zero.
type Attributes = [u64; 16];

fn bpf(command: libc::c_int, attributes: &mut Attributes) -> io::Result<libc::c_int> {
    let size = std::mem::size_of_val(attributes);
    // SAFETY: `attributes` has `size` bytes and outlives the call; pointers inside were made from live borrows by the
    // callers below, with the lengths that the map or the program was made with.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    checked(result as libc::c_int)
}

fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel has just returned this descriptor, so it is open and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Two `u32` as they lie in one word of the attributes.
fn pair(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

fn address<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>() as u64
}

/// A hash map with keys of four bytes.
pub(crate) struct Map {
    fd: OwnedFd,
    value_bytes: usize,
}

impl Map {
    pub(crate) fn create(value_bytes: usize, entries: u32) -> io::Result<Self> {
        let mut attributes = Attributes::default();
        attributes[0] = pair(MAP_TYPE_HASH, 4);
        attributes[1] = pair(value_bytes as u32, entries);
        let fd = owned(bpf(MAP_CREATE, &mut attributes)?);
        Ok(Self { fd, value_bytes })
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn element(&self, key: &[u8; 4]) -> Attributes {
        let mut attributes = Attributes::default();
        attributes[0] = pair(self.fd.as_raw_fd() as u32, 0);
        attributes[1] = address(key);
        attributes
    }

    pub(crate) fn insert(&self, key: [u8; 4], value: &[u8]) -> io::Result<()> {
        if value.len() != self.value_bytes {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mut attributes = self.element(&key);
        attributes[2] = address(value);
        bpf(MAP_UPDATE_ELEMENT, &mut attributes).map(drop)
    }

    pub(crate) fn get(&self, key: [u8; 4]) -> io::Result<Vec<u8>> {
        let mut value = vec![0u8; self.value_bytes];
        let mut attributes = self.element(&key);
        attributes[2] = value.as_mut_ptr() as u64;
        bpf(MAP_LOOKUP_ELEMENT, &mut attributes)?;
        Ok(value)
    }

    pub(crate) fn remove(&self, key: [u8; 4]) -> io::Result<()> {
        bpf(MAP_DELETE_ELEMENT, &mut self.element(&key)).map(drop)
    }
}

/// Load a program for traffic control. The verifier's word comes with its refusal.
pub(crate) fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut log = vec![0u8; 1 << 16];
    let mut attributes = Attributes::default();
    attributes[0] = pair(PROGRAM_TYPE_SCHED_CLS, program.len() as u32);
    attributes[1] = program.as_ptr() as u64;
    attributes[2] = license.as_ptr() as u64;
    if let Ok(fd) = bpf(PROGRAM_LOAD, &mut attributes.clone()) {
        return Ok(owned(fd));
    }
    attributes[3] = pair(1, log.len() as u32);
    attributes[4] = log.as_mut_ptr() as u64;
    bpf(PROGRAM_LOAD, &mut attributes)
        .map(owned)
        .map_err(|error| {
            let text = String::from_utf8_lossy(&log);
            let text = text.trim_end_matches('\0').trim();
            match text
                .lines()
                .rev()
                .find(|line| !line.starts_with("processed"))
            {
                Some(reason) => io::Error::new(error.kind(), format!("{error}: {reason}")),
                None => error,
            }
        })
}

/// Have the interface run the program on what leaves it, until the descriptor is closed (tcx, Linux 6.6).
pub(crate) fn attach(program: &OwnedFd, interface_index: u32) -> io::Result<OwnedFd> {
    let mut attributes = Attributes::default();
    attributes[0] = pair(program.as_raw_fd() as u32, interface_index);
    attributes[1] = pair(ATTACH_TCX_EGRESS, 0);
    bpf(LINK_CREATE, &mut attributes).map(owned)
}
