//! An exchange's re-request servers: they say again what was sent, to whoever asks (MoldUDP64 1.0, Request Packet).
//!
//! Each answer is one ordinary downstream packet from the address that was asked: the messages from the number on, as
//! many as were asked for, were due by now, and fit one datagram. What cannot be answered gets no answer.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{json, Value};

use crate::archive::{Archive, Session};
use crate::clock::{self, StepMeter};
use crate::files;
use crate::poller::Poller;
use crate::socket;
use crate::tell::tell;
use crate::Failure;

pub const ANSWERS_MAGIC: &[u8; 8] = b"LCANSW01";

/// MoldUDP64 1.0, Request Packet: session 10, sequence number 8, requested message count 2, big endian.
const REQUEST_BYTES: usize = 20;

/// The same bytes begin a downstream packet.
const HEADER_BYTES: usize = 20;

/// MoldUDP64 1.0: a count of 0xFFFF ends the session, so that an answer has fewer messages.
const MESSAGES_AT_MOST: u16 = 0xFFFE;

/// What an Ethernet frame of 1500 bytes leaves after IPv4's and UDP's headers.
const DATAGRAM_BYTES: usize = 1472;

/// How many addresses may ask; each is remembered for its rate.
const ASKERS_AT_MOST: usize = 256;

/// How many requests of one socket are looked at before the others have their turn.
const TURN: usize = 64;

/// So many turns each has before it ends: what it was asked by then is looked at, and nobody keeps it from ending.
const LAST_TURNS: usize = 16;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// `ADDRESS:PORT,ARCHIVE`: where to be asked for what.
#[derive(Clone)]
pub struct ServeArgument {
    address: SocketAddrV4,
    archive: PathBuf,
}

impl FromStr for ServeArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected ADDRESS:PORT,ARCHIVE, found {text}");
        let (address, archive) = text.split_once(',').ok_or_else(expected)?;
        Ok(Self {
            address: address.parse().map_err(|_| expected())?,
            archive: archive.into(),
        })
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Outcome {
    Answered = 0,
    /// Not a request: another length, or no message asked for.
    Malformed = 1,
    UnknownSession = 2,
    /// The number was not due by then, or never is.
    NotSent = 3,
    /// The kernel would not send the answer.
    Refused = 4,
    /// Its sender asks too often, or too many others ask. Counted, and not written into the record.
    AboveRate = 5,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Malformed => "malformed",
            Outcome::UnknownSession => "unknown_session",
            Outcome::NotSent => "not_sent",
            Outcome::Refused => "refused",
            Outcome::AboveRate => "above_rate",
        }
    }
}

/// One request as it was read; all zero where it is none.
#[derive(Clone, Copy, Default)]
struct Request {
    session: Session,
    first: u64,
    count: u16,
}

impl Request {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let request = Self {
            session: bytes.get(0..10)?.try_into().ok()?,
            first: u64::from_be_bytes(bytes.get(10..18)?.try_into().ok()?),
            count: u16::from_be_bytes(bytes.get(18..20)?.try_into().ok()?),
        };
        (bytes.len() == REQUEST_BYTES && request.count > 0).then_some(request)
    }
}

/// Tokens of one address: so many requests a second, and as many at once.
struct Bucket {
    tokens: u64,
    filled_ns: u64,
}

struct Rates {
    requests_per_second: u64,
    buckets: HashMap<Ipv4Addr, Bucket>,
}

impl Rates {
    /// Whether one more request of `asker` is looked at.
    fn allow(&mut self, asker: Ipv4Addr, now_ns: u64) -> bool {
        if !self.buckets.contains_key(&asker) && self.buckets.len() >= ASKERS_AT_MOST {
            return false;
        }
        let most = self.requests_per_second;
        let bucket = self.buckets.entry(asker).or_insert(Bucket {
            tokens: most,
            filled_ns: now_ns,
        });
        let period_ns = NANOSECONDS_PER_SECOND / most.max(1);
        let earned = now_ns.saturating_sub(bucket.filled_ns) / period_ns.max(1);
        bucket.filled_ns += earned * period_ns;
        bucket.tokens = bucket.tokens.saturating_add(earned).min(most);
        let allowed = bucket.tokens > 0;
        bucket.tokens -= u64::from(allowed);
        allowed
    }
}

/// One address to be asked at, and what is answered from.
struct Server {
    socket: UdpSocket,
    address: SocketAddrV4,
    archives: Vec<usize>,
}

struct Servers<'run> {
    servers: Vec<Server>,
    archives: Vec<Archive>,
    sender_record: &'run Path,
    /// When the sender's schedule began, once it has.
    start_ns: Option<u64>,
    rates: Rates,
    output: BufWriter<fs::File>,
    outcomes: BTreeMap<Outcome, u64>,
    messages: u64,
}

/// Answer until SIGTERM or the end of standard input, then print a summary.
pub fn run(
    serve: &[ServeArgument],
    sender_record: &Path,
    output: &Path,
    requests_per_second: u64,
) -> Result<(), Failure> {
    let (servers, archives) = open(serve)?;
    let mut poller = Poller::new(servers.iter().map(|one| one.socket.as_raw_fd()))?;
    let file =
        fs::File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let mut file = BufWriter::new(file);
    file.write_all(ANSWERS_MAGIC)?;
    let mut all = Servers {
        servers,
        archives,
        sender_record,
        start_ns: None,
        rates: Rates {
            requests_per_second,
            buckets: HashMap::new(),
        },
        output: file,
        outcomes: BTreeMap::new(),
        messages: 0,
    };
    let meter = StepMeter::start();
    tell(&json!({"ready": true}))?;
    loop {
        let woken = poller.wait(None)?;
        for index in woken.ready {
            all.serve(index)?;
        }
        if woken.stop {
            break;
        }
    }
    for index in 0..all.servers.len() {
        for _ in 0..LAST_TURNS {
            all.serve(index)?;
        }
    }
    all.output.flush()?;
    Ok(tell(&all.summary(&meter)?)?)
}

fn open(serve: &[ServeArgument]) -> Result<(Vec<Server>, Vec<Archive>), Failure> {
    let mut places: BTreeMap<&Path, usize> = BTreeMap::new();
    let mut archives = Vec::new();
    let mut servers: BTreeMap<SocketAddrV4, Server> = BTreeMap::new();
    for one in serve {
        let at = match places.get(one.archive.as_path()) {
            Some(at) => *at,
            None => {
                let named = |error: String| format!("{}: {error}", one.archive.display());
                let bytes = fs::read(&one.archive).map_err(|error| named(error.to_string()))?;
                archives.push(Archive::parse(bytes).map_err(named)?);
                places.insert(&one.archive, archives.len() - 1);
                archives.len() - 1
            }
        };
        match servers.entry(one.address) {
            Entry::Occupied(mut place) => place.get_mut().archives.push(at),
            Entry::Vacant(place) => {
                place.insert(listen(one.address, at)?);
            }
        }
    }
    for server in servers.values() {
        let mut seen = HashSet::new();
        let sessions = server
            .archives
            .iter()
            .flat_map(|at| archives[*at].sessions());
        for session in sessions {
            if !seen.insert(session) {
                let name = String::from_utf8_lossy(session);
                return Err(format!(
                    "{}: two archives have session {name}: a request would not say which is meant",
                    server.address
                )
                .into());
            }
        }
    }
    Ok((servers.into_values().collect(), archives))
}

fn listen(address: SocketAddrV4, archive: usize) -> Result<Server, Failure> {
    let bound = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let socket = bound().map_err(|error| format!("listening on {address}: {error}"))?;
    Ok(Server {
        socket,
        address,
        archives: vec![archive],
    })
}

impl Servers<'_> {
    /// Look at what one server was asked.
    fn serve(&mut self, index: usize) -> Result<(), Failure> {
        let mut bytes = [0u8; 2048];
        for _ in 0..TURN {
            let (length, asker) = match self.servers[index].socket.recv_from(&mut bytes) {
                Ok((length, SocketAddr::V4(asker))) => (length, asker),
                Ok((_, SocketAddr::V6(_))) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An earlier answer came back as undeliverable: that is the asker's affair.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            if !self.rates.allow(*asker.ip(), clock::monotonic_ns()) {
                *self.outcomes.entry(Outcome::AboveRate).or_default() += 1;
                continue;
            }
            let request = Request::parse(&bytes[..length]);
            let (outcome, count) = match request {
                None => (Outcome::Malformed, 0),
                Some(request) => self.answer(index, request, asker),
            };
            *self.outcomes.entry(outcome).or_default() += 1;
            self.messages += u64::from(count);
            self.record(index, asker, request.unwrap_or_default(), count, outcome)?;
        }
        Ok(())
    }

    /// Answer one request; what came of it, and with how many messages.
    fn answer(&mut self, index: usize, request: Request, asker: SocketAddrV4) -> (Outcome, u16) {
        let now_ns = self.elapsed_ns();
        let server = &self.servers[index];
        let known = server
            .archives
            .iter()
            .map(|at| &self.archives[*at])
            .find(|archive| archive.has(&request.session));
        let Some(archive) = known else {
            return (Outcome::UnknownSession, 0);
        };
        let (packet, count) = downstream(archive, request, now_ns);
        if count == 0 {
            return (Outcome::NotSent, 0);
        }
        match server.socket.send_to(&packet, asker) {
            Ok(_) => (Outcome::Answered, count),
            Err(_) => (Outcome::Refused, 0),
        }
    }

    /// Since the schedule's first datagram was due; before that, nothing was.
    fn elapsed_ns(&mut self) -> i64 {
        if self.start_ns.is_none() {
            self.start_ns = start_of(self.sender_record);
        }
        let Some(start_ns) = self.start_ns else {
            return i64::MIN;
        };
        let elapsed_ns = i128::from(clock::realtime_ns()) - i128::from(start_ns);
        i64::try_from(elapsed_ns).unwrap_or(i64::MAX)
    }

    fn record(
        &mut self,
        index: usize,
        asker: SocketAddrV4,
        request: Request,
        count: u16,
        outcome: Outcome,
    ) -> io::Result<()> {
        let server = self.servers[index].address;
        let output = &mut self.output;
        output.write_all(&clock::realtime_ns().to_le_bytes())?;
        for address in [server, asker] {
            output.write_all(&address.ip().octets())?;
            output.write_all(&address.port().to_le_bytes())?;
        }
        output.write_all(&request.session)?;
        output.write_all(&request.first.to_le_bytes())?;
        output.write_all(&request.count.to_le_bytes())?;
        output.write_all(&count.to_le_bytes())?;
        output.write_all(&[outcome as u8])
    }

    fn summary(&self, meter: &StepMeter) -> Result<Value, Failure> {
        let drops = |one: &Server| socket::kernel_drops(one.socket.as_raw_fd()).map(u64::from);
        let drops: u64 = self.servers.iter().map(drops).sum::<io::Result<u64>>()?;
        let outcomes: BTreeMap<&str, u64> = self
            .outcomes
            .iter()
            .map(|(outcome, count)| (outcome.name(), *count))
            .collect();
        Ok(json!({
            "requests": self.outcomes.values().sum::<u64>(),
            "outcomes": outcomes,
            "messages": self.messages,
            "kernel_drops": drops,
            "clock_step_ns": meter.step_ns(),
        }))
    }
}

/// The answer to a request and how many messages it has. A message too long for one frame leaves alone, in fragments.
fn downstream(archive: &Archive, request: Request, now_ns: i64) -> (Vec<u8>, u16) {
    let mut packet = Vec::with_capacity(DATAGRAM_BYTES);
    packet.extend(request.session);
    packet.extend(request.first.to_be_bytes());
    packet.extend([0, 0]);
    let mut count = 0;
    let most = usize::from(request.count.min(MESSAGES_AT_MOST));
    for body in archive
        .sent(&request.session, request.first, now_ns)
        .take(most)
    {
        let Ok(length) = u16::try_from(body.len()) else {
            break;
        };
        if count > 0 && packet.len() + 2 + body.len() > DATAGRAM_BYTES {
            break;
        }
        packet.extend(length.to_be_bytes());
        packet.extend(body);
        count += 1;
    }
    packet[HEADER_BYTES - 2..HEADER_BYTES].copy_from_slice(&u16::to_be_bytes(count));
    (packet, count)
}

/// When a sender's schedule began, by its record; nothing until it has.
fn start_of(record: &Path) -> Option<u64> {
    let mut head = [0u8; 16];
    fs::File::open(record).ok()?.read_exact(&mut head).ok()?;
    let start = head.strip_prefix(files::RECORD_MAGIC.as_slice())?;
    Some(u64::from_le_bytes(start.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_twenty_bytes_and_asks_for_something() {
        let whole = [b"SESSION001".as_slice(), &7u64.to_be_bytes(), &[0, 3]].concat();
        let request = Request::parse(&whole).unwrap();
        assert_eq!((request.first, request.count), (7, 3));
        assert!(Request::parse(&whole[..19]).is_none());
        assert!(Request::parse(&[whole.clone(), vec![0]].concat()).is_none());
        let nothing = [&whole[..18], &[0, 0]].concat();
        assert!(Request::parse(&nothing).is_none());
    }

    #[test]
    fn who_asks_too_often_waits_and_hurts_no_other() {
        let (one, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut rates = Rates {
            requests_per_second: 10,
            buckets: HashMap::new(),
        };
        assert_eq!((0..20).filter(|_| rates.allow(one, 0)).count(), 10);
        assert!(rates.allow(other, 0));
        let tenth = NANOSECONDS_PER_SECOND / 10;
        assert!(!rates.allow(one, tenth - 1));
        assert!(rates.allow(one, tenth));
        assert!(!rates.allow(one, 2 * tenth - 1));
        assert_eq!(
            (0..20)
                .filter(|_| rates.allow(one, 100 * NANOSECONDS_PER_SECOND))
                .count(),
            10
        );
    }

    #[test]
    fn so_many_askers_are_remembered_and_no_more() {
        let mut rates = Rates {
            requests_per_second: 1,
            buckets: HashMap::new(),
        };
        let allowed = (0..1000u32).filter(|number| rates.allow(Ipv4Addr::from(*number), 0));
        assert_eq!(allowed.count(), ASKERS_AT_MOST);
    }
}
