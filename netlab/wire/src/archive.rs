//! What an exchange has to say again: the messages of one channel, by session and number, and when each was due.

use std::collections::BTreeMap;
use std::ops::Range;

pub const ARCHIVE_MAGIC: &[u8; 8] = b"LCARCH01";

const ENTRY_BYTES: usize = 28;

/// MoldUDP64 1.0: a session is ten bytes of text.
pub type Session = [u8; 10];

/// One message.
#[derive(Debug)]
struct Kept {
    /// From the schedule's first datagram; negative where lost ones were due before it.
    due_ns: i64,
    body: Range<usize>,
}

/// The messages of one channel.
#[derive(Debug)]
pub struct Archive {
    bytes: Vec<u8>,
    sessions: BTreeMap<Session, BTreeMap<u64, Kept>>,
}

impl Archive {
    /// Read a whole archive; the error names the offset at which it is damaged.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        if !bytes.starts_with(ARCHIVE_MAGIC) {
            return Err("not an archive: it does not start with LCARCH01".into());
        }
        let mut sessions: BTreeMap<Session, BTreeMap<u64, Kept>> = BTreeMap::new();
        let mut offset = ARCHIVE_MAGIC.len();
        while offset < bytes.len() {
            let head = bytes.get(offset..offset + ENTRY_BYTES);
            let (due_ns, session, number, length) = head.and_then(read_head).ok_or_else(|| {
                format!(
                    "the message at offset {offset} is cut off: the file ends at {}",
                    bytes.len()
                )
            })?;
            let body = offset + ENTRY_BYTES..offset + ENTRY_BYTES + length;
            if body.end > bytes.len() {
                return Err(format!(
                    "the message at offset {offset} is cut off: the file ends at {}",
                    bytes.len()
                ));
            }
            offset = body.end;
            let twice = sessions
                .entry(session)
                .or_default()
                .insert(number, Kept { due_ns, body })
                .is_some();
            if twice {
                return Err(format!("number {number} stands twice in one session"));
            }
        }
        Ok(Self { bytes, sessions })
    }

    /// The sessions that it has messages of.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.keys()
    }

    /// Whether it has messages of a session.
    pub fn has(&self, session: &Session) -> bool {
        self.sessions.contains_key(session)
    }

    /// The messages `first`, `first + 1`, … of a session, as far as each was due by `now_ns` and stands there.
    pub fn sent(
        &self,
        session: &Session,
        first: u64,
        now_ns: i64,
    ) -> impl Iterator<Item = &[u8]> + '_ {
        let kept = self.sessions.get(session);
        let mut number = Some(first);
        std::iter::from_fn(move || {
            let one = kept?.get(&number?)?;
            number = number?.checked_add(1);
            (one.due_ns <= now_ns).then(|| &self.bytes[one.body.clone()])
        })
    }
}

fn read_head(head: &[u8]) -> Option<(i64, Session, u64, usize)> {
    let due_ns = i64::from_le_bytes(head.get(0..8)?.try_into().ok()?);
    let session = head.get(8..18)?.try_into().ok()?;
    let number = u64::from_le_bytes(head.get(18..26)?.try_into().ok()?);
    let length = u16::from_le_bytes(head.get(26..28)?.try_into().ok()?);
    Some((due_ns, session, number, usize::from(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Session = *b"SESSION001";

    fn entry(due_ns: i64, number: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = due_ns.to_le_bytes().to_vec();
        bytes.extend(SESSION);
        bytes.extend(number.to_le_bytes());
        bytes.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(body);
        bytes
    }

    fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
        [ARCHIVE_MAGIC.to_vec(), entries.concat()].concat()
    }

    fn sent(archive: &Archive, first: u64, now_ns: i64) -> Vec<Vec<u8>> {
        archive
            .sent(&SESSION, first, now_ns)
            .map(<[u8]>::to_vec)
            .collect()
    }

    #[test]
    fn only_what_was_due_is_said_again() {
        let entries = [entry(-5, 1, b"a"), entry(0, 2, b""), entry(7, 3, b"ccc")];
        let archive = Archive::parse(archive(&entries)).unwrap();
        assert_eq!(sent(&archive, 1, -6), Vec::<Vec<u8>>::new());
        assert_eq!(sent(&archive, 1, 6), [b"a".to_vec(), b"".to_vec()]);
        assert_eq!(sent(&archive, 2, 7), [b"".to_vec(), b"ccc".to_vec()]);
        assert_eq!(sent(&archive, 4, 7), Vec::<Vec<u8>>::new());
        assert_eq!(archive.sent(b"SESSION002", 1, 7).count(), 0);
    }

    #[test]
    fn a_number_that_is_missing_ends_what_is_said() {
        let archive = Archive::parse(archive(&[entry(0, 1, b"a"), entry(0, 3, b"c")])).unwrap();
        assert_eq!(sent(&archive, 1, 0), [b"a".to_vec()]);
        assert_eq!(sent(&archive, u64::MAX, 0), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn damaged_archives_are_refused() {
        let whole = archive(&[entry(0, 1, b"abc")]);
        for length in 0..whole.len() {
            let cut = Archive::parse(whole[..length].to_vec());
            assert_eq!(cut.is_ok(), length == ARCHIVE_MAGIC.len(), "{length}");
        }
        let twice = archive(&[entry(0, 1, b"a"), entry(1, 1, b"b")]);
        assert!(Archive::parse(twice).unwrap_err().contains("twice"));
    }
}
