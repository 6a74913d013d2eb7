//! The schedule, the sender's record, the receiver's output and the stalls (docs/wire-tool-formats.md).

use std::net::Ipv4Addr;

pub const SCHEDULE_MAGIC: &[u8; 8] = b"LCSCHED1";
pub const RECORD_MAGIC: &[u8; 8] = b"LCSENT01";
pub const OUTPUT_MAGIC: &[u8; 8] = b"LCRECV01";
pub const STALLS_MAGIC: &[u8; 8] = b"LCSTALL1";

const ENTRY_BYTES: usize = 20;

/// One datagram of a schedule.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'schedule> {
    /// From the first datagram's due time.
    pub due_ns: u64,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub port: u16,
    pub payload: &'schedule [u8],
}

/// Read a whole schedule; the error names the offset at which it is damaged.
pub fn parse_schedule(bytes: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let Some(mut rest) = bytes.strip_prefix(SCHEDULE_MAGIC.as_slice()) else {
        return Err("not a schedule: it does not start with LCSCHED1".into());
    };
    let mut entries: Vec<Entry<'_>> = Vec::new();
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        let cut_off = || {
            let total = bytes.len();
            format!("the datagram at offset {offset} is cut off: the file ends at {total}")
        };
        let (head, after) = rest.split_at_checked(ENTRY_BYTES).ok_or_else(cut_off)?;
        let length = usize::from(u16_at(head, 18));
        let (payload, after) = after.split_at_checked(length).ok_or_else(cut_off)?;
        let due_ns = u64::from_le_bytes(array_at(head, 0));
        match entries.last() {
            None if due_ns > 0 => {
                return Err(format!(
                    "the first datagram, at offset {offset}, is due at {due_ns} ns: due times count from it, so it \
                     must be 0"
                ));
            }
            Some(last) if last.due_ns > due_ns => {
                return Err(format!(
                    "the datagram at offset {offset} is due at {due_ns} ns, before the one in front of it ({} ns)",
                    last.due_ns
                ));
            }
            _ => {}
        }
        entries.push(Entry {
            due_ns,
            source: Ipv4Addr::from(array_at::<4>(head, 8)),
            destination: Ipv4Addr::from(array_at::<4>(head, 12)),
            port: u16_at(head, 16),
            payload,
        });
        rest = after;
    }
    Ok(entries)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(due_ns: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = due_ns.to_le_bytes().to_vec();
        bytes.extend([10, 0, 0, 1, 239, 1, 2, 3]);
        bytes.extend(5000u16.to_le_bytes());
        bytes.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    fn schedule(entries: &[Vec<u8>]) -> Vec<u8> {
        [SCHEDULE_MAGIC.to_vec(), entries.concat()].concat()
    }

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        let bytes = schedule(&[entry(0, b"a"), entry(7, b"bc")]);
        let entries = parse_schedule(&bytes).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].due_ns, 7);
        assert_eq!(entries[1].payload, b"bc");
        assert_eq!(entries[1].destination, Ipv4Addr::new(239, 1, 2, 3));
        assert_eq!(
            (entries[1].source, entries[1].port),
            (Ipv4Addr::new(10, 0, 0, 1), 5000)
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = schedule(&[entry(0, b"abc")]);
        for length in 0..bytes.len() {
            assert_eq!(
                parse_schedule(&bytes[..length]).is_ok(),
                length == SCHEDULE_MAGIC.len(),
                "{length}"
            );
        }
    }

    #[test]
    fn due_times_must_not_fall() {
        let three = [entry(0, b""), entry(5, b""), entry(4, b"")];
        let error = parse_schedule(&schedule(&three)).unwrap_err();
        assert!(error.contains("offset 48"), "{error}");
    }

    #[test]
    fn the_first_due_time_is_the_origin() {
        let error = parse_schedule(&schedule(&[entry(5, b"")])).unwrap_err();
        assert!(error.contains("offset 8"), "{error}");
        assert_eq!(parse_schedule(SCHEDULE_MAGIC).unwrap(), []);
    }
}
