//! Switches off what would put more than plain frames on a veth: segmentation offloads and unfinished checksums.
//!
//! Features are found by name in the kernel's own string set, so a kernel that lacks one or has a new one is no special
//! case (include/uapi/linux/ethtool.h: ETHTOOL_GSSET_INFO, ETHTOOL_GSTRINGS, ETHTOOL_GFEATURES, ETHTOOL_SFEATURES).

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use serde_json::json;

use crate::tell::tell;
use crate::Failure;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const STRING_BYTES: usize = 32;

/// Switch the offloads off on each interface and print which features were on.
pub fn run(interfaces: &[String]) -> Result<(), Failure> {
    // SAFETY: takes integers only; a descriptor that it returns is ours to own.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error().into());
        }
        OwnedFd::from_raw_fd(fd)
    };
    for interface in interfaces {
        let off =
            make_plain(&socket, interface).map_err(|error| format!("{interface}: {error}"))?;
        tell(&json!({"interface": interface, "off": off}))?;
    }
    Ok(())
}

/// Whether a feature makes the kernel hand over something that is not a finished frame of at most the MTU.
fn unwanted(feature: &str) -> bool {
    feature.starts_with("tx-checksum")
        || (feature.starts_with("tx-") && feature.contains("segmentation"))
        || feature.starts_with("tx-gso")
        || feature.starts_with("rx-gro")
}

fn make_plain(socket: &OwnedFd, interface: &str) -> Result<Vec<String>, Failure> {
    let names = feature_names(socket, interface)?;
    let before = unwanted_and_active(socket, interface, &names)?;
    let blocks = names.len().div_ceil(32);
    let mut request = vec![0u32; 2 + 2 * blocks];
    request[0] = ETHTOOL_SFEATURES;
    request[1] = blocks as u32;
    for (bit, _) in names.iter().enumerate().filter(|(_, name)| unwanted(name)) {
        request[2 + 2 * (bit / 32)] |= 1 << (bit % 32); // valid, with `requested` left 0
    }
    ethtool(socket, interface, &mut request)?;
    // A driver may keep what it was asked to switch off, and the call then succeeds all the same.
    let kept = unwanted_and_active(socket, interface, &names)?;
    if !kept.is_empty() {
        return Err(format!("cannot be switched off: {}", kept.join(", ")).into());
    }
    Ok(before)
}

fn unwanted_and_active(
    socket: &OwnedFd,
    interface: &str,
    names: &[String],
) -> io::Result<Vec<String>> {
    const ACTIVE: usize = 2; // of each block's available, requested, active, never_changed
    let blocks = names.len().div_ceil(32);
    let mut request = vec![0u32; 2 + 4 * blocks];
    request[0] = ETHTOOL_GFEATURES;
    request[1] = blocks as u32;
    ethtool(socket, interface, &mut request)?;
    let on = |bit: usize| request[2 + 4 * (bit / 32) + ACTIVE] & (1 << (bit % 32)) != 0;
    let found = names.iter().enumerate();
    let found = found.filter(|(bit, name)| unwanted(name) && on(*bit));
    Ok(found.map(|(_, name)| name.clone()).collect())
}

fn feature_names(socket: &OwnedFd, interface: &str) -> io::Result<Vec<String>> {
    let mut info = vec![ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
    ethtool(socket, interface, &mut info)?;
    let count = info[4] as usize;
    let mut strings = vec![0u32; 3 + count * STRING_BYTES / 4];
    strings[0] = ETHTOOL_GSTRINGS;
    strings[1] = ETH_SS_FEATURES;
    strings[2] = count as u32;
    ethtool(socket, interface, &mut strings)?;
    let bytes: Vec<u8> = strings[3..]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    let names = bytes
        .chunks(STRING_BYTES)
        .map(|text| text.split(|byte| *byte == 0).next().unwrap_or_default());
    Ok(names
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect())
}

fn ethtool(socket: &OwnedFd, interface: &str, data: &mut [u32]) -> io::Result<()> {
    let name = CString::new(interface)?;
    if name.as_bytes().len() >= libc::IFNAMSIZ {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name is too long for an interface",
        ));
    }
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *place = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
    // SAFETY: ifr_data points to `data`, whose layout and length are what its command word says.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::unwanted;

    #[test]
    fn only_what_makes_a_frame_more_than_a_frame_is_unwanted() {
        for name in [
            "tx-checksum-ip-generic",
            "tx-tcp-segmentation",
            "tx-udp-segmentation",
            "tx-generic-segmentation",
            "tx-gso-list",
            "rx-gro",
            "rx-gro-list",
        ] {
            assert!(unwanted(name), "{name}");
        }
        for name in [
            "tx-scatter-gather",
            "rx-checksum",
            "highdma",
            "tx-vlan-hw-insert",
        ] {
            assert!(!unwanted(name), "{name}");
        }
    }
}
