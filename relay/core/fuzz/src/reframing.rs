//! Packets of messages, taken apart at any place and read by the exchange's rules, without the crate; and requests.

use lanecast_relay_core::{find, EpochKey, Kind, Request};

use crate::framings::{Message, Said, FRAMINGS};
use crate::input::Input;

pub fn check(data: &[u8]) {
    let input = &mut Input::new(data);
    let framing = &FRAMINGS[input.below(FRAMINGS.len() as u64) as usize];
    let protocol = find(framing.name).expect("it is one of the protocols");
    let count = if framing.identical {
        1
    } else {
        1 + input.below(200)
    };
    let first = Message {
        stream: input.below(framing.streams),
        epoch: input.below(8),
        // Around where the framings' numbers come round as well.
        index: input.below(0x1800),
    };
    // A MACH packet has one epoch only, and no name of it.
    let first = if framing.name == "mach" {
        Message { epoch: 0, ..first }
    } else {
        first
    };
    let whole = (framing.write)(first, count);
    let packets = protocol.packets(&whole).expect("the exchange's own packet");
    assert!(packets.others.is_empty());
    assert_eq!(
        (packets.first.kind, packets.first.count),
        (Kind::Data, count)
    );
    assert_eq!(
        (framing.index)(first.epoch, packets.first.first),
        first.index
    );
    let skip = 1 + input.below(count + 1);
    match protocol.trim(&whole, skip) {
        None => assert!(skip >= count, "{skip} of {count} can't be taken off"),
        Some(left) => {
            assert!(skip < count);
            let first = Message {
                index: first.index + skip,
                ..first
            };
            assert_eq!(
                (framing.read)(&left),
                Said::Messages {
                    first,
                    end: first.index + count - skip
                }
            );
            assert_eq!(
                left,
                (framing.write)(first, count - skip),
                "as the exchange would have sent it"
            );
        }
    }
    request(input);
}

/// A request says what was asked for, in MoldUDP64's own words.
fn request(input: &mut Input<'_>) {
    let mold = find("moldudp64").expect("it is one of the protocols");
    let mut epoch = EpochKey::default();
    epoch.0.iter_mut().for_each(|byte| *byte = input.byte());
    let number = |input: &mut Input<'_>| {
        (0..4).fold(0u64, |sum, _| sum << 16 | u64::from(input.two_bytes()))
    };
    let (first, last) = (number(input), number(input));
    let Some(datagram) = mold.request(epoch, first, last) else {
        assert!(last < first, "{first} to {last} can't be asked for");
        return;
    };
    let count = (last - first).saturating_add(1).min(0xFFFE) as u16;
    assert_eq!(datagram.len(), 20);
    assert_eq!(datagram[..10], epoch.0);
    assert_eq!(datagram[10..18], first.to_be_bytes());
    assert_eq!(datagram[18..], count.to_be_bytes());
    let read = Request::read(&datagram).expect("it is one");
    assert_eq!(
        (read.session, read.number, read.count),
        (epoch.0, first, count)
    );
}
