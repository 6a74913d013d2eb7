//! Every framing that the relay knows, a file each. Who adds one writes its file and names it twice here.
//!
//! | protocol  | number        | counts   | heartbeat               | stream            | epoch                        |
//! |-----------|---------------|----------|-------------------------|-------------------|------------------------------|
//! | cme-mdp3  | 0:4 LE        | packets  | consumes a number       | -                 | ChannelReset, in band        |
//! | csm       | 12:4 BE       | messages | count 0, next           | -                 | back to 1                    |
//! | deribit   | 4:4 LE        | packets  | -                       | channel 2:2       | long silence                 |
//! | eobi      | 8:4 LE        | packets  | in band                 | partition 16:1    | back to 1, with indicator    |
//! | flex      | 2:4 BE        | messages | one byte 0x20           | group 0:1         | reboots 1:1                  |
//! | iex-tp    | 24:8 LE       | messages | count 0, next           | channel 4:4       | session 8:4                  |
//! | impact    | 2:4 BE        | messages | count 0, next           | -                 | session 0:2                  |
//! | mach      | 0:8 LE        | packets  | type 0, last            | -                 | start in band, session 11:1  |
//! | memx-udp  | 10:8 BE       | messages | type 0, last            | -                 | session 2:8                  |
//! | mitch     | 4:4 LE        | messages | count 0, next           | group 3:1         | back to 1                    |
//! | moldudp64 | 10:8 BE       | messages | count 0, next           | -                 | session 0:10                 |
//! | omd       | 4:4 LE        | messages | count 0, last           | -                 | SequenceReset, in band       |
//! | optiq     | 8:4 LE, 3 bits| packets  | in band                 | channel 14:2      | flags 12:2, bits 1-3         |
//! | pitch     | 4:4 LE, not 0 | messages | count 0, next           | unit 3:1          | long silence                 |
//! | raw       | none          | -        | -                       | -                 | -                            |
//! | umdf      | 4:4 LE, not 0 | packets  | number 0, Sequence, next| channel 0:1       | version 2:2                  |
//! | xdp       | 4:4 LE        | messages | count 0, next           | -                 | Sequence Number Reset        |

use crate::protocol::Protocol;

mod cme_mdp3;
mod csm;
mod deribit;
mod eobi;
mod flex;
mod iex_tp;
mod impact;
mod mach;
mod memx_udp;
mod mitch;
mod moldudp64;
mod omd;
mod optiq;
mod pitch;
mod raw;
mod umdf;
mod xdp;

/// The Python names are pinned to this table by a test.
pub static PROTOCOLS: &[Protocol] = &[
    cme_mdp3::PROTOCOL,
    csm::PROTOCOL,
    deribit::PROTOCOL,
    eobi::PROTOCOL,
    flex::PROTOCOL,
    iex_tp::PROTOCOL,
    impact::PROTOCOL,
    mach::PROTOCOL,
    memx_udp::PROTOCOL,
    mitch::PROTOCOL,
    moldudp64::PROTOCOL,
    omd::PROTOCOL,
    optiq::PROTOCOL,
    pitch::PROTOCOL,
    raw::PROTOCOL,
    umdf::PROTOCOL,
    xdp::PROTOCOL,
];
