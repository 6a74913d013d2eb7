//! Says what should have left and been given up, from the arrivals alone, and holds the arbiter to it.
//!
//! Of one epoch of a stream let `t(n)` be the first arrival of message `n` on any line, answers included, `B` that of
//! anything of the epoch, `E = B + wait` the end of its start window, and `C` its close: the end of the next epoch's
//! window, the beginning of the one after that, or the drain. `r(n)` is when it first shows that `n` exists: the earliest
//! arrival of a higher message, or of a heartbeat or end of session above `n`. Only what is before `C` counts.
//!
//! The stream starts at the lowest number heard of before `E`. A message leaves exactly if
//! `t(n) < max(E, r(n) + wait + asked)`, where `asked` is how long a server is asked, 0 without one; else its loss is
//! declared. That is done when all lower ones are done and it has arrived, or at that cut-off, in order of numbers; what
//! is left at `C` is done then. So no message waits longer than `wait + asked` for those below it.
//!
//! Where a protocol promises the number that a session begins at, and that comes first of all, there is no window: `E = B`.
//!
//! Heartbeats and ends alone make no epoch, except the first of all, because a stray looks the same: `B` is then the first
//! arrival of data, and what told of the epoch before that counts as if it had come then. So epochs follow each other as
//! their data come: names have no order, so one that every line brings late comes after the next one.
//!
//! Where an in-band reset tells epochs apart, nothing of an epoch counts before the reset has come on some line; where only
//! a silence or a session's number does, nothing before data. The word that an epoch begins leaves once, before all of it,
//! if it comes before the start window ends.
//!
//! A hold that is full gives up earlier; then only the order, the accounting and that nothing is given up that had
//! arrived is judged.

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::{Arrival, Scenario, What};
use crate::framings::{framing, Anew, Framing, Message};
use crate::play::{Did, Record};

/// Its specification promises the number that a session begins at.
const BEGINS_AT_A_NUMBER: &str = "moldudp64";

const NEVER: u64 = u64::MAX;

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    one: Message,
    left: bool,
    at_ns: u64,
}

/// Returns how many messages left and were given up.
pub fn judge(scenario: &Scenario, record: &Record) -> (u64, u64) {
    let framing = framing(scenario.framing);
    let (mut left, mut lost) = (0, 0);
    for stream in 0..framing.streams {
        let fates = observed(framing, stream, record);
        if scenario.is_tight() {
            check_tight(framing, record, stream, &fates);
        } else {
            let wanted = wanted(scenario, framing, record, stream);
            for (place, (wanted, fate)) in wanted.iter().zip(&fates).enumerate() {
                assert_eq!(
                    wanted, fate,
                    "wanted (left) and seen (right), at {place} of stream {stream}"
                );
            }
            assert_eq!(
                wanted.len(),
                fates.len(),
                "messages of stream {stream}, wanted and seen"
            );
        }
        left += fates.iter().filter(|fate| fate.left).count() as u64;
        lost += fates.iter().filter(|fate| !fate.left).count() as u64;
    }
    check_bare(scenario, framing, record);
    check_questions(scenario, framing, record);
    (left, lost)
}

/// What the arbiter did with each message, in its order, which has to be that of the numbers without a hole.
fn observed(framing: &Framing, stream: u64, record: &Record) -> Vec<Fate> {
    let began_ns = began(&words(framing, record, stream));
    let mut fates: Vec<Fate> = Vec::new();
    let mut next: Option<Message> = None;
    for (place, (at_ns, did)) in record.did.iter().enumerate() {
        let (first, end, left) = match *did {
            Did::Left { first, end } if first.stream == stream => (first, end, true),
            Did::Lost {
                stream: of,
                wire,
                count,
            } if of == stream => {
                let epoch = epoch_of_loss(framing, next, wire, &record.did[place..], stream);
                let index = (framing.index)(epoch, wire);
                (
                    Message {
                        stream,
                        epoch,
                        index,
                    },
                    index + count,
                    false,
                )
            }
            _ => continue,
        };
        if let Some(next) = next {
            let later = began_ns.get(&first.epoch) > began_ns.get(&next.epoch);
            assert!(
                later || first == next,
                "{first:?} is done after all before {next:?}, at {at_ns}"
            );
        }
        next = Some(Message {
            index: end,
            ..first
        });
        fates.extend((first.index..end).map(|index| {
            let one = Message { index, ..first };
            Fate {
                one,
                left,
                at_ns: *at_ns,
            }
        }));
    }
    fates
}

/// A loss goes on where the stream is, or else belongs to the epoch of the next message that leaves.
fn epoch_of_loss(
    framing: &Framing,
    next: Option<Message>,
    wire: u64,
    after: &[(u64, Did)],
    stream: u64,
) -> u64 {
    match next {
        Some(next) if (framing.index)(next.epoch, wire) == next.index => next.epoch,
        _ => after
            .iter()
            .find_map(|(_, did)| match did {
                Did::Left { first, .. } if first.stream == stream => Some(first.epoch),
                _ => None,
            })
            .unwrap_or_else(|| panic!("the loss of {wire} is of no epoch that is known")),
    }
}

/// What an arrival says of its epoch: that the messages `first..end` came, and that all below `end` exist.
#[derive(Clone, Copy)]
struct Word {
    at_ns: u64,
    /// It may begin an epoch: data of a line, or a word that one begins.
    begins: bool,
    first: u64,
    end: u64,
}

fn word(one: &Arrival, answers: usize) -> (Message, Word) {
    let (of, end) = match one.what {
        What::Messages { first, count } => (first, first.index + count),
        What::Heartbeat(next) | What::End(next) | What::Start(next) => (next, next.index),
    };
    (
        of,
        Word {
            at_ns: one.at_ns,
            begins: one.line != answers
                && matches!(one.what, What::Messages { .. } | What::Start(_)),
            first: of.index,
            end,
        },
    )
}

/// By epoch, what counts of the arrivals of `stream`.
fn words(framing: &Framing, record: &Record, stream: u64) -> BTreeMap<u64, Vec<Word>> {
    let mut epochs: BTreeMap<u64, Vec<Word>> = BTreeMap::new();
    for one in &record.arrivals {
        let (of, word) = word(one, record.answers);
        if of.stream != stream {
            continue;
        }
        let known = epochs.contains_key(&of.epoch) || of.epoch == 0;
        let begins = match framing.anew {
            Anew::InBand => of.index == 0,
            Anew::Announced => matches!(one.what, What::Start(_)),
            Anew::Session => word.begins,
            Anew::Silence => matches!(one.what, What::Messages { .. }),
            _ => true,
        };
        if known || begins {
            epochs.entry(of.epoch).or_default().push(word);
        }
    }
    epochs
}

/// When each epoch began: with its first data, and the first of all with whatever came.
fn began(epochs: &BTreeMap<u64, Vec<Word>>) -> BTreeMap<u64, u64> {
    let first = epochs.values().map(|words| words[0].at_ns).min();
    let begins = |words: &Vec<Word>| {
        let at_ns = words[0].at_ns;
        let data_ns = words.iter().find(|word| word.begins);
        let data_ns = data_ns.map(|word| word.at_ns);
        if Some(at_ns) == first {
            Some(at_ns)
        } else {
            data_ns
        }
    };
    let began = epochs
        .iter()
        .filter_map(|(epoch, words)| Some((*epoch, begins(words)?)));
    began.collect()
}

/// What should have become of each message of `stream`.
fn wanted(scenario: &Scenario, framing: &Framing, record: &Record, stream: u64) -> Vec<Fate> {
    let epochs = words(framing, record, stream);
    let mut fates = Vec::new();
    for (epoch, times) in times(scenario, record, &epochs) {
        let of = Message {
            stream,
            epoch,
            index: 0,
        };
        epoch_fates(of, &epochs[&epoch], times, &mut fates);
    }
    fates
}

#[derive(Clone, Copy)]
struct Times {
    /// `E`, `C` and `wait + asked` above.
    window_ns: u64,
    close_ns: u64,
    patience_ns: u64,
}

fn times(
    scenario: &Scenario,
    record: &Record,
    epochs: &BTreeMap<u64, Vec<Word>>,
) -> Vec<(u64, Times)> {
    let wait_ns = scenario.hole_wait_ns;
    let asked_ns = scenario.server.map_or(0, |server| server.wait_ns);
    let mut begins: Vec<(u64, u64)> = began(epochs).into_iter().collect();
    begins.sort_by_key(|(_, began_ns)| *began_ns);
    let of = |(place, (epoch, begin_ns)): (usize, &(u64, u64))| {
        let next_ns = begins
            .get(place + 1)
            .map_or(NEVER, |(_, begin_ns)| begin_ns + wait_ns);
        let after_ns = begins
            .get(place + 2)
            .map_or(NEVER, |(_, begin_ns)| *begin_ns);
        let begins = epochs[epoch][0].end > 0 && epochs[epoch][0].first == 0;
        let at_once = place == 0 && begins && scenario.framing == BEGINS_AT_A_NUMBER;
        let times = Times {
            window_ns: begin_ns + if at_once { 0 } else { wait_ns },
            close_ns: next_ns.min(after_ns).min(record.drained_ns),
            patience_ns: wait_ns + asked_ns,
        };
        (*epoch, times)
    };
    begins.iter().enumerate().map(of).collect()
}

fn epoch_fates(of: Message, words: &[Word], times: Times, fates: &mut Vec<Fate>) {
    let in_time: Vec<&Word> = words
        .iter()
        .filter(|word| word.at_ns < times.close_ns)
        .collect();
    // The first one is in it, also where it closes it.
    let in_window = in_time
        .iter()
        .enumerate()
        .filter(|(place, word)| *place == 0 || word.at_ns < times.window_ns)
        .map(|(_, word)| word);
    let (Some(start), Some(top)) = (
        in_window.map(|word| word.first).min(),
        in_time.iter().map(|word| word.end).max(),
    ) else {
        return;
    };
    let top = top as usize;
    // One more than the messages, because a heartbeat may stand behind the last.
    let mut came_ns = vec![NEVER; top + 1];
    let mut above_ns = vec![NEVER; top + 1];
    for word in in_time {
        for index in word.first..word.end {
            came_ns[index as usize] = came_ns[index as usize].min(word.at_ns);
        }
        if let Some(last) = word.end.checked_sub(1) {
            above_ns[last as usize] = above_ns[last as usize].min(word.at_ns);
        }
    }
    for index in (0..top).rev() {
        above_ns[index] = above_ns[index]
            .min(above_ns[index + 1])
            .min(came_ns[index + 1]);
    }
    let mut clock_ns = times.window_ns.min(times.close_ns);
    for index in start as usize..top {
        let shown_ns = above_ns[index].saturating_add(times.patience_ns);
        let cut_ns = times.window_ns.max(shown_ns).min(times.close_ns);
        let left = came_ns[index] < cut_ns;
        clock_ns = clock_ns.max(if left { came_ns[index] } else { cut_ns });
        let one = Message {
            index: index as u64,
            ..of
        };
        fates.push(Fate {
            one,
            left,
            at_ns: clock_ns,
        });
    }
}

/// When each message of each epoch of `stream` first came.
fn first_arrivals(framing: &Framing, record: &Record, stream: u64) -> BTreeMap<(u64, u64), u64> {
    let mut came_ns = BTreeMap::new();
    for (epoch, words) in words(framing, record, stream) {
        for word in words {
            for index in word.first..word.end {
                came_ns.entry((epoch, index)).or_insert(word.at_ns);
            }
        }
    }
    came_ns
}

/// What leaves has come, and what is given up has not.
fn check_tight(framing: &Framing, record: &Record, stream: u64, fates: &[Fate]) {
    let came_ns = first_arrivals(framing, record, stream);
    for fate in fates {
        let came_ns = came_ns.get(&(fate.one.epoch, fate.one.index));
        // What comes at the very moment at which it is given up comes after that: timers are first.
        let in_time =
            |came_ns: &u64| *came_ns < fate.at_ns || (fate.left && *came_ns == fate.at_ns);
        let came = came_ns.is_some_and(in_time);
        assert_eq!(came, fate.left, "{fate:?}, which came at {came_ns:?}");
    }
}

/// Heartbeats say what is next; an end of session leaves once, after all of its session, whenever one came in time.
fn check_bare(scenario: &Scenario, framing: &Framing, record: &Record) {
    let began_ns: Vec<BTreeMap<u64, u64>> = (0..framing.streams)
        .map(|stream| began(&words(framing, record, stream)))
        .collect();
    let mut next: BTreeMap<u64, Message> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    let mut started = BTreeSet::new();
    for (at_ns, did) in &record.did {
        match *did {
            Did::Left { first, end } => {
                next.insert(
                    first.stream,
                    Message {
                        index: end,
                        ..first
                    },
                );
            }
            Did::Lost { stream, count, .. } => {
                if let Some(next) = next.get_mut(&stream) {
                    next.index += count;
                }
            }
            Did::Heartbeat(said) | Did::End(said) => {
                let place = next.get(&said.stream);
                let (epoch, index) = match place {
                    Some(place) if said.epoch == u64::MAX => {
                        (place.epoch, (framing.index)(place.epoch, said.index))
                    }
                    _ => (said.epoch, said.index),
                };
                let right = place.is_none_or(|place| {
                    let began_ns = &began_ns[said.stream as usize];
                    began_ns.get(&epoch) > began_ns.get(&place.epoch)
                        || (epoch, index) == (place.epoch, place.index)
                });
                assert!(right, "{did:?} leaves at {at_ns}, when {place:?} is next");
                if matches!(did, Did::End(_)) {
                    assert!(
                        ended.insert((said.stream, said.epoch)),
                        "{said:?} ends twice"
                    );
                }
            }
            Did::Start(said) => {
                let after = next.get(&said.stream).map(|next| next.epoch + 1);
                let epoch = after.unwrap_or(0);
                assert!(
                    said.epoch == epoch || said.epoch == u64::MAX,
                    "{did:?} leaves at {at_ns}, when {next:?} is next"
                );
                assert!(started.insert((said.stream, epoch)), "{did:?} leaves twice");
            }
            Did::Asked { .. } => {}
        }
    }
    if !scenario.is_tight() {
        let wanted = starts(scenario, framing, record);
        assert_eq!(
            wanted, started,
            "epochs whose start should have left, and did"
        );
    }
    if !scenario.is_tight() {
        let wanted = ends(scenario, framing, record);
        assert_eq!(
            wanted, ended,
            "sessions whose end should have left, and those whose end did"
        );
    }
}

/// The streams and epochs whose start came before they had started.
fn starts(scenario: &Scenario, framing: &Framing, record: &Record) -> BTreeSet<(u64, u64)> {
    let mut starts = BTreeSet::new();
    for stream in 0..framing.streams {
        let epochs = words(framing, record, stream);
        for (epoch, times) in times(scenario, record, &epochs) {
            let came = record.arrivals.iter().any(|one| {
                let is_start =
                    matches!(one.what, What::Start(of) if (of.stream, of.epoch) == (stream, epoch));
                is_start && one.at_ns < times.window_ns.min(times.close_ns)
            });
            if came {
                starts.insert((stream, epoch));
            }
        }
    }
    starts
}

/// The streams and epochs whose end came while they were open.
fn ends(scenario: &Scenario, framing: &Framing, record: &Record) -> BTreeSet<(u64, u64)> {
    let closes: BTreeMap<(u64, u64), u64> = (0..framing.streams)
        .flat_map(|stream| {
            let epochs = words(framing, record, stream);
            let times = times(scenario, record, &epochs);
            times
                .into_iter()
                .map(move |(epoch, times)| ((stream, epoch), times.close_ns))
        })
        .collect();
    let ends = record.arrivals.iter().filter_map(|one| match one.what {
        What::End(next) => Some(((next.stream, next.epoch), one.at_ns)),
        _ => None,
    });
    ends.filter(|(of, at_ns)| closes.get(of).is_some_and(|close_ns| at_ns < close_ns))
        .map(|(of, _)| of)
        .collect()
}

/// Nothing is asked for that has come, nor before the lines have had their time.
fn check_questions(scenario: &Scenario, framing: &Framing, record: &Record) {
    if scenario.server.is_none() {
        return;
    }
    let came_ns = first_arrivals(framing, record, 0);
    let epochs = words(framing, record, 0);
    let shown: BTreeMap<u64, Vec<u64>> = epochs
        .iter()
        .map(|(epoch, words)| (*epoch, shown(words)))
        .collect();
    for (at_ns, did) in &record.did {
        let Did::Asked { first, end } = *did else {
            continue;
        };
        let here = came_ns.range((first.epoch, first.index)..(first.epoch, end));
        let known = here.filter(|(_, came_ns)| *came_ns <= at_ns).count();
        assert_eq!(known, 0, "{did:?} at {at_ns}, some of which had come");
        let shown_ns = shown[&first.epoch][end as usize - 1];
        let in_time = *at_ns >= shown_ns.saturating_add(scenario.hole_wait_ns);
        assert!(in_time, "{did:?} at {at_ns}, but it shows since {shown_ns}");
    }
}

/// When it first shows that each message exists, in itself or in something above it.
fn shown(words: &[Word]) -> Vec<u64> {
    let top = words.iter().map(|word| word.end).max().unwrap_or(0);
    let mut shown_ns = vec![NEVER; top as usize];
    for word in words {
        if let Some(last) = word.end.checked_sub(1) {
            shown_ns[last as usize] = shown_ns[last as usize].min(word.at_ns);
        }
    }
    for index in (1..shown_ns.len()).rev() {
        shown_ns[index - 1] = shown_ns[index - 1].min(shown_ns[index]);
    }
    shown_ns
}
