//! Datagrams of every protocol, byte by byte from the specifications; shared by the tests of protocols.
#![allow(dead_code)] // each test file uses a part
#![allow(clippy::unwrap_used)]

/// The bytes of `parts`, one after another.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `count` bodies from `seed` on, no two alike.
pub fn bodies(seed: u64, count: usize) -> Vec<Vec<u8>> {
    (0..count as u64)
        .map(|index| {
            let number = seed + index;
            let mut body = number.to_be_bytes().to_vec();
            body.resize(8 + (number % 3) as usize, b'.');
            body
        })
        .collect()
}

pub fn mold(session: &[u8; 10], first: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = join(&[
        session,
        &first.to_be_bytes(),
        &(bodies.len() as u16).to_be_bytes(),
    ]);
    for body in bodies {
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend(body);
    }
    packet
}

/// Messages of size:2 (itself and the type counted), type:2.
fn sized(kind: u16, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut messages = Vec::new();
    for body in bodies {
        messages.extend((4 + body.len() as u16).to_le_bytes());
        messages.extend(kind.to_le_bytes());
        messages.extend(body);
    }
    messages
}

pub fn omd_header(length: usize, count: u8, number: u32) -> Vec<u8> {
    join(&[
        &(length as u16).to_le_bytes(),
        &[count, 0],
        &number.to_le_bytes(),
        &[7; 8],
    ])
}

pub fn omd(first: u32, bodies: &[Vec<u8>]) -> Vec<u8> {
    let messages = sized(30, bodies);
    let header = omd_header(16 + messages.len(), bodies.len() as u8, first);
    join(&[&header, &messages])
}

pub fn omd_reset(own: u32, next: u32) -> Vec<u8> {
    let message = sized(100, &[next.to_le_bytes().to_vec()]);
    join(&[&omd_header(24, 1, own), &message])
}

pub fn xdp_packet(flag: u8, first: u32, kind: u16, bodies: &[Vec<u8>]) -> Vec<u8> {
    let messages = sized(kind, bodies);
    let length = (16 + messages.len()) as u16;
    join(&[
        &length.to_le_bytes(),
        &[flag, bodies.len() as u8],
        &first.to_le_bytes(),
        &[9; 8],
        &messages,
    ])
}

pub fn xdp(first: u32, bodies: &[Vec<u8>]) -> Vec<u8> {
    xdp_packet(11, first, 105, bodies)
}

/// PITCH and MITCH: a unit header, and messages of length:1 (itself counted), type:1.
pub fn unit(unit: u8, first: u32, kind: u8, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut messages = Vec::new();
    for body in bodies {
        messages.extend([2 + body.len() as u8, kind]);
        messages.extend(body);
    }
    join(&[
        &((8 + messages.len()) as u16).to_le_bytes(),
        &[bodies.len() as u8, unit],
        &first.to_le_bytes(),
        &messages,
    ])
}

pub fn iex(channel: u32, session: u32, offset: u64, first: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut messages = Vec::new();
    for body in bodies {
        messages.extend((body.len() as u16).to_le_bytes());
        messages.extend(body);
    }
    join(&[
        &[1, 0, 4, 0x80],
        &channel.to_le_bytes(),
        &session.to_le_bytes(),
        &(messages.len() as u16).to_le_bytes(),
        &(bodies.len() as u16).to_le_bytes(),
        &offset.to_le_bytes(),
        &first.to_le_bytes(),
        &[5; 8],
        &messages,
    ])
}

pub fn eobi(segment: u32, partition: u8, number: u32, reset: u8) -> Vec<u8> {
    join(&[
        &32u16.to_le_bytes(),
        &13002u16.to_le_bytes(),
        &[0xFF; 4],
        &number.to_le_bytes(),
        &segment.to_le_bytes(),
        &[partition, 1, reset, 0, 0, 0, 0, 0],
        &[3; 8],
        &16u16.to_le_bytes(),
        &13001u16.to_le_bytes(),
        &[0xFF; 4],
        &number.to_le_bytes(),
        &[0; 4],
    ])
}

/// One message: frame:2 (itself counted), block length, template, schema, version, then `body`.
pub fn optiq(channel: u16, flags: u16, number: u32, template: u16, body: &[u8]) -> Vec<u8> {
    join(&[
        &[1; 8],
        &number.to_le_bytes(),
        &flags.to_le_bytes(),
        &channel.to_le_bytes(),
        &(10 + body.len() as u16).to_le_bytes(),
        &(body.len() as u16).to_le_bytes(),
        &template.to_le_bytes(),
        &[0, 0, 0x88, 0],
        body,
    ])
}

pub fn umdf(channel: u8, version: u16, number: u32, template: u16, body: &[u8]) -> Vec<u8> {
    join(&[
        &[channel, 1],
        &version.to_le_bytes(),
        &number.to_le_bytes(),
        &[2; 8],
        &(12 + body.len() as u16).to_le_bytes(),
        &[0x50, 0xEB],
        &(body.len() as u16).to_le_bytes(),
        &template.to_le_bytes(),
        &[2, 0, 5, 0],
        body,
    ])
}

/// One inner packet.
pub fn mach(number: u64, kind: u8, session: u8, body: &[u8]) -> Vec<u8> {
    join(&[
        &number.to_le_bytes(),
        &(12 + body.len() as u16).to_le_bytes(),
        &[kind, session],
        body,
    ])
}

pub fn memx_header(kind: u8, session: u64, number: u64) -> Vec<u8> {
    join(&[&[kind, 18], &session.to_be_bytes(), &number.to_be_bytes()])
}

pub fn memx(session: u64, first: u64, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = memx_header(2, session, first);
    packet.extend((bodies.len() as u16).to_be_bytes());
    for body in bodies {
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend(body);
    }
    packet
}

pub fn impact(session: u16, first: u32, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = join(&[
        &session.to_be_bytes(),
        &first.to_be_bytes(),
        &(bodies.len() as u16).to_be_bytes(),
        &[4; 8],
    ]);
    for body in bodies {
        packet.push(b'g');
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend(body);
    }
    packet
}

pub fn csm(first: u32, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut messages = Vec::new();
    for body in bodies {
        messages.extend((8 + body.len() as u16).to_be_bytes());
        messages.extend([12, b'X']);
        messages.extend([0, 0, 0, 7]); // its own number, which the header's is taken for
        messages.extend(body);
    }
    join(&[
        &[1],
        &((16 + messages.len()) as u16).to_be_bytes(),
        &[6; 8],
        &[bodies.len() as u8],
        &first.to_be_bytes(),
        &messages,
    ])
}

pub fn deribit(channel: u16, number: u32, body: &[u8]) -> Vec<u8> {
    join(&[
        &(body.len() as u16).to_le_bytes(),
        &channel.to_le_bytes(),
        &number.to_le_bytes(),
        body,
    ])
}

/// Tags of length:1 (itself not counted), type:1.
pub fn flex(group: u8, reboots: u8, first: u32, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = join(&[
        &[group, reboots],
        &first.to_be_bytes(),
        &[0; 19],
        &[bodies.len() as u8],
    ]);
    for body in bodies {
        packet.extend([1 + body.len() as u8, b'A']);
        packet.extend(body);
    }
    packet
}
